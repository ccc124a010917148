"""Judging a solution: only the steps that are asked for go to the engine, and the outcome says which those were."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from rprm_jobs.engine import Generation, Prompt
from rprm_jobs.store.records import StoredSolution
from rprm_jobs.types import ItemStatus, Sampling, SolutionScore
from tests.support.jobs import JUDGE, make_recipe
from workers.engines.scripted import ScriptedEngine, ScriptedOptions
from workers.judging import Budget, Work, judge_solutions

STEPS = ("1 + 1 = 2", "2 + 2 = 5 [[scripted:refuse]]", "5 - 1 = 4")


class Recording(ScriptedEngine):
    """The scripted engine, with a list of what it was asked."""

    def __init__(self) -> None:
        super().__init__(JUDGE, ScriptedOptions())
        self.asked: list[str] = []

    async def sample(self, prompt: Prompt, seeds: Sequence[int], sampling: Sampling) -> list[Generation]:
        self.asked.append(prompt.text)
        return await super().sample(prompt, seeds, sampling)


def judge(judge_steps: tuple[int, ...] | None) -> tuple[SolutionScore, Recording]:
    engine, scores = Recording(), []

    async def run() -> None:
        await engine.start()
        solution = StoredSolution(3, "s", "How many?", STEPS, judge_steps)
        work = Work.of(make_recipe(k=2), 0)
        assert await judge_solutions(engine, Budget(100), work, [solution], scores.append, lambda: False)

    asyncio.run(run())
    return scores[0], engine


def test_only_the_steps_asked_for_are_asked_of_the_engine() -> None:
    score, engine = judge((0, 2))
    prompts = [Work.of(make_recipe(), 0).template.render("How many?", STEPS, step) for step in (0, 2)]
    assert sorted(engine.asked) == sorted(prompts)
    assert (score.status, list(score.judged_steps)) == (ItemStatus.OK, [0, 2])
    assert [(c.step, c.k) for c in score.critiques] == [(0, 0), (0, 1), (2, 0), (2, 1)]
    assert score.rewards[1] is None


@pytest.mark.parametrize("judge_steps", [None, (1,), (0, 1)])
def test_a_step_that_fails_fails_the_solution_when_it_was_asked_for(judge_steps: tuple[int, ...] | None) -> None:
    score, _ = judge(judge_steps)
    assert score.status is ItemStatus.FAILED
    assert "step 2: " in (score.reason or "")
    assert list(score.judged_steps) == list(judge_steps or range(3))
