"""Rules are told where the step stands, what earlier steps got and what a screen said, live and in simulations."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from rprm_jobs.stopping import NO_CONTEXT, StepContext
from rprm_jobs.stopping.simulate import on_votes
from rprm_jobs.store.records import StoredSolution
from rprm_jobs.types import Critique, SolutionScore
from tests.support.jobs import JUDGE, make_recipe
from workers.engines.scripted.engine import ScriptedEngine, ScriptedOptions
from workers.tasks.budget import Budget
from workers.tasks.judge import judge_solutions
from workers.tasks.spec import CurrentRule, JudgeSpec


@dataclass
class Curious:
    """Two critiques a step, and a note of what it was told before the first."""

    told: list[StepContext] = field(default_factory=list)
    in_order: ClassVar[bool] = True

    def more(self, critiques: Sequence[Critique], context: StepContext = NO_CONTEXT) -> int:
        if not critiques:
            self.told.append(context)
        return max(0, 2 - len(critiques))


def judged(rule: Curious, *, screen: tuple[float | None, ...] | None = None) -> SolutionScore:
    scores: list[SolutionScore] = []

    async def run() -> None:
        engine = ScriptedEngine(JUDGE, ScriptedOptions())
        await engine.start()
        work = replace(JudgeSpec.of(make_recipe(k=2), 0), stopping=CurrentRule(rule))
        solution = StoredSolution(0, "s", "How many?", ("one", "two", "three"), screen=screen)
        assert await judge_solutions(engine, Budget(9), work, [solution], scores.append, lambda: False)

    asyncio.run(run())
    return scores[0]


def test_a_rule_in_order_is_told_the_rewards_of_all_earlier_steps() -> None:
    rule = Curious()
    rewards = judged(rule).rewards
    assert rule.told == [StepContext(place, rewards[:place]) for place in range(3)]


def test_a_rule_is_told_what_a_screen_said_of_its_step() -> None:
    rule = Curious()
    judged(rule, screen=(0.9, None, 0.2))
    assert [context.screen for context in rule.told] == [0.9, None, 0.2]


def test_a_simulation_tells_a_rule_the_same() -> None:
    rule = Curious()
    on_votes(rule, [[[1.0, 1.0], [0.0, 0.0], [1.0, None]]], 0.5, orders=1)
    assert rule.told == [StepContext(0, ()), StepContext(1, (1.0,)), StepContext(2, (1.0, 0.0))]
