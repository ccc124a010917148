"""Judging a solution: only the steps that are asked for go to the engine, and the outcome says which those were."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from rprm_jobs.engine import Generation, Prompt
from rprm_jobs.judge.verdict import MARKER
from rprm_jobs.store.records import StoredSolution
from rprm_jobs.types import Finish, ItemStatus, Sampling, SolutionScore
from tests.support.jobs import JUDGE, make_recipe
from workers.engines.scripted.engine import ScriptedEngine, ScriptedOptions
from workers.tasks.budget import Budget
from workers.tasks.judge import judge_solutions
from workers.tasks.spec import JudgeSpec

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
        work = JudgeSpec.of(make_recipe(k=2), 0)
        assert await judge_solutions(engine, Budget(100), work, [solution], scores.append, lambda: False)

    asyncio.run(run())
    return scores[0], engine


def test_only_the_steps_asked_for_are_asked_of_the_engine() -> None:
    score, engine = judge((0, 2))
    prompts = [JudgeSpec.of(make_recipe(), 0).template.render("How many?", STEPS, step) for step in (0, 2)]
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


class Opinionated(Recording):
    """Calls a step by the word in it (wrong, mute, or else right), the slower the more often it says slow."""

    def __init__(self) -> None:
        super().__init__()
        self.judged: list[str] = []

    async def sample(self, prompt: Prompt, seeds: Sequence[int], sampling: Sampling) -> list[Generation]:  # noqa: ARG002
        now = next(step for step in reversed(STORY) if step in prompt.text)
        self.asked.append(now)
        await asyncio.sleep(0.02 * now.count("slow"))
        self.judged.append(now)
        if "mute" in now:
            return [Generation("I cannot tell.", 1, Finish.STOP, None) for _ in seeds]
        verdict, share = ("No", 0.1) if "wrong" in now else ("Yes", 0.9)
        return [Generation(f"{MARKER} {verdict}", 1, Finish.STOP, share) for _ in seeds]


STORY: list[str] = []


def judge_until(*steps: str, in_flight: int = 100) -> tuple[SolutionScore, Opinionated]:
    """Judge steps that are numbered here, so that each is found in its prompt."""
    STORY[:] = [f"{number}: {step}" for number, step in enumerate(steps)]
    engine, scores = Opinionated(), []
    work = JudgeSpec.of(replace(make_recipe(k=2), until_first_error=True), 0)

    async def run() -> None:
        await engine.start()
        solution = StoredSolution(3, "s", "How many?", tuple(STORY))
        assert await judge_solutions(engine, Budget(in_flight), work, [solution], scores.append, lambda: False)

    asyncio.run(run())
    return scores[0], engine


def test_steps_after_the_first_error_are_no_part_of_the_outcome() -> None:
    score, _ = judge_until("right", "wrong", "right", "wrong")
    assert (score.status, score.first_error, list(score.judged_steps)) == (ItemStatus.OK, 1, [0, 1])
    assert score.rewards == (0.9, 0.1, None, None)
    assert [(c.step, c.k) for c in score.critiques] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_a_solution_without_an_error_is_judged_whole() -> None:
    score, _ = judge_until("right", "slow", "right")
    assert (score.first_error, score.judged, score.rewards) == (-1, None, (0.9, 0.9, 0.9))


def test_what_is_in_flight_after_the_error_is_cancelled() -> None:
    _, engine = judge_until("right", "wrong", "slow", "slow")
    assert len(engine.asked) == 4
    assert engine.judged == STORY[:2]


def test_an_error_ends_the_later_steps_while_earlier_ones_go_on() -> None:
    score, engine = judge_until("slow slow", "wrong", "slow")
    assert score.first_error == 1
    assert engine.judged == [STORY[1], STORY[0]]


def test_the_first_error_counts_and_not_the_one_that_is_found_first() -> None:
    score, _ = judge_until("right", "slow wrong", "wrong")
    assert (score.first_error, list(score.judged_steps)) == (1, [0, 1])


def test_a_full_engine_is_asked_about_nothing_needless() -> None:
    score, engine = judge_until("right", "wrong", "right", in_flight=2)
    assert score.first_error == 1
    assert engine.asked == STORY[:2]


def test_a_step_without_a_verdict_fails_the_solution_and_ends_it() -> None:
    score, engine = judge_until("right", "mute", "slow")
    assert (score.status, list(score.judged_steps)) == (ItemStatus.FAILED, [0, 1])
    assert "step 2: no verdict" in (score.reason or "")
    assert engine.judged == STORY[:2]
