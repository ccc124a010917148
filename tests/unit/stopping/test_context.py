"""Rules are told where the step stands, what earlier steps got and what a screen said, live and in simulations."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from rprm_jobs.stopping import NO_CONTEXT, StepContext, make_rule
from rprm_jobs.stopping.prior import PUBLISHED, fit_prior
from rprm_jobs.stopping.screened import EDGES, fit_by_screen
from rprm_jobs.stopping.simulate import critique_of, on_votes
from rprm_jobs.store.records import StoredSolution
from rprm_jobs.types import Critique, SolutionScore
from tests.support.jobs import JUDGE, make_recipe
from workers.engines.scripted.engine import ScriptedEngine, ScriptedOptions
from workers.tasks.budget import Budget
from workers.tasks.judge import JudgeSpec, judge_solutions


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
        work = replace(JudgeSpec.of(make_recipe(k=2), 0), rule=rule)
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


def test_a_planned_rule_goes_by_the_range_of_the_screens_score() -> None:
    sure = [0.0] * 10 + [1.0]
    options = {
        "kind": "planned",
        "price": 250,
        "prior": PUBLISHED,
        "by_screen": [{"upto": 1.0, "prior": sure}, {"upto": 0.5, "prior": PUBLISHED}],
    }
    rule = make_rule(options, k=10, threshold=0.5)
    one = [critique_of(0, 1.0)]
    common = make_rule({**options, "by_screen": None}, k=10, threshold=0.5)
    assert rule.more(one, StepContext(screen=0.99)) == 0
    assert rule.more(one, StepContext(screen=0.5)) == rule.more(one) == common.more(one) > 0


def test_ranges_are_fitted_to_the_steps_that_fell_into_them() -> None:
    rng = random.Random(3)
    scores = [rng.random() for _ in range(3000)]
    steps = [(score, 10, float(sum(rng.random() < score for _ in range(10)))) for score in scores]
    common = fit_prior({(10, int(total)): 1 for _, _, total in steps}, 10)
    ranges = fit_by_screen(steps, 10, 0.5, common)
    assert [cut["upto"] for cut in ranges] == list(EDGES)
    means = [sum(yes * weight for yes, weight in enumerate(cut["prior"])) for cut in ranges]
    assert means == sorted(means)
    assert means[0] < 1.5
    assert means[-1] > 8.5


def test_a_range_of_few_steps_is_mostly_the_prior_of_all() -> None:
    common = fit_prior({(10, 3): 50}, 10)
    (cut,) = fit_by_screen([(0.01, 10, 10.0)], 10, 0.5, common)
    assert cut["prior"][3] > 0.7
    assert cut["prior"][10] > common[10]
