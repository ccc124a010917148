"""A plan that comes while a shard is judged: what is sampled is kept, and steps that wait follow it."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace

from rprm_jobs.engine import Generation, Prompt
from rprm_jobs.stopping.cells import CELLS
from rprm_jobs.store.jobs.plans import StoredPlan
from rprm_jobs.store.records import StoredSolution
from rprm_jobs.types import Sampling, SolutionScore
from tests.support.jobs import JUDGE, make_recipe
from workers.engines.scripted.engine import ScriptedEngine, ScriptedOptions
from workers.tasks.budget import Budget
from workers.tasks.judge import judge_solutions
from workers.tasks.spec import JudgeSpec

STEPS = ("one", "two", "three")
K = 8
# All votes of a step agree, so the first one decides it.
SURE = (0.5, *[0.0] * (K - 1), 0.5)


class Watched(ScriptedEngine):
    """The scripted engine, with a call before each request, and how many steps of a problem it had at once."""

    def __init__(self, before: Callable[[int], None]) -> None:
        super().__init__(JUDGE, ScriptedOptions(delay_s=0.001))
        self.before, self.requests = before, 0
        self.running, self.at_once = Counter[str](), Counter[str]()

    async def sample(
        self, prompt: Prompt, seeds: Sequence[int], sampling: Sampling, *, stop: Sequence[str] | None = None
    ) -> list[Generation]:
        self.before(self.requests)
        self.requests += 1
        problem = re.findall(r"How many \d", prompt.text)[-1]
        self.running[problem] += 1
        self.at_once[problem] = max(self.at_once[problem], self.running[problem])
        try:
            return await super().sample(prompt, seeds, sampling, stop=stop)
        finally:
            self.running[problem] -= 1


def judged(
    plan: StoredPlan, *, room: int, after: int, at_once: Counter[str] | None = None, **stopping: object
) -> list[SolutionScore]:
    """Four solutions; the plan is adopted before request `after` of the engine."""
    recipe = replace(make_recipe(k=K), stopping={"kind": "planned", "price": 9.0, "pilot": 3, **stopping})
    work, budget, scores = JudgeSpec.of(recipe, 0), Budget(room), list[SolutionScore]()

    def adopt(number: int) -> None:
        if number == after:
            work.stopping.adopt(recipe, plan)

    async def run() -> None:
        engine = Watched(adopt)
        engine.at_once = Counter() if at_once is None else at_once
        await engine.start()
        stored = [StoredSolution(n, f"s{n}", f"How many {n}", STEPS) for n in range(4)]
        assert await judge_solutions(engine, budget, work, stored, scores.append, lambda: False)
        # All room was given back: nothing waits for what nobody uses.
        assert await asyncio.wait_for(budget.take(room, _turn(budget)), 1) == room

    asyncio.run(asyncio.wait_for(run(), 20))
    return sorted(scores, key=lambda score: score.ord)


def _turn(budget: Budget) -> object:
    from workers.tasks.budget import Turn

    return Turn(budget.begin_solution())


def critiques_per_step(score: SolutionScore) -> list[int]:
    return [sum(critique.step == step for critique in score.critiques) for step in range(len(STEPS))]


def test_steps_that_wait_for_room_follow_the_plan_and_those_under_way_do_not() -> None:
    scores = judged(StoredPlan(1, 3, SURE, None), room=K, after=1)
    counts = [count for score in scores for count in critiques_per_step(score)]
    assert counts[:2] == [K, K]
    assert max(counts[2:]) < K
    assert [score.plan for score in scores] == [1] * 4


def test_a_step_that_has_some_critiques_is_asked_about_by_the_plan() -> None:
    (first, *_) = judged(StoredPlan(1, 3, SURE, None), room=2, after=1)
    assert critiques_per_step(first)[0] < K


def test_a_plan_that_comes_when_all_are_under_way_takes_nothing_back() -> None:
    scores = judged(StoredPlan(1, 3, SURE, None), room=K * 12, after=11)
    assert [(score.plan, critiques_per_step(score)) for score in scores] == [(1, [K] * 3)] * 4


@pytest.mark.parametrize("room", [1, K, 3 * K])
def test_steps_that_waited_side_by_side_go_one_after_the_other_where_the_plan_is_in_order(room: int) -> None:
    plan, at_once = StoredPlan(1, 3, SURE, None, (SURE,) * CELLS), Counter[str]()
    scores = judged(plan, room=room, after=1, at_once=at_once, by_context=True)
    assert all(score.first_error is not None for score in scores)
    by_plan = {f"How many {score.ord}": score.plan for score in scores}
    assert set(by_plan.values()) == {1}
    # Those of the first were begun side by side before there was a plan.
    assert [at_once[problem] for problem in by_plan] == [2 if room == 3 * K else 1, 1, 1, 1]
