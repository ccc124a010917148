"""Steps with one key in a process: one is judged and the others wait, whatever becomes of the first."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from rprm_jobs.engine import Generation, Prompt
from rprm_jobs.judge.recipe import BY_CONTENT
from rprm_jobs.store.records import Known, StoredSolution
from rprm_jobs.types import Critique, Finish, Sampling, SolutionScore, Verdict
from tests.support.jobs import JUDGE, make_recipe
from workers.engines.scripted.engine import ScriptedEngine, ScriptedOptions
from workers.tasks.budget import Budget
from workers.tasks.judge import judge_solutions
from workers.tasks.judging import Judging
from workers.tasks.spec import JudgeSpec

KEYS = tuple(bytes([i]) * 16 for i in range(1, 4))
STEPS = ("1 + 1 = 2", "2 + 2 = 4", "4 + 4 = 8")
RECIPE = replace(make_recipe(k=4), seed_rule=BY_CONTENT)


class Counting(ScriptedEngine):
    """The scripted engine, slow enough for others to wait, with a count of its critiques."""

    def __init__(self) -> None:
        super().__init__(JUDGE, ScriptedOptions(delay_s=0.01))
        self.count = 0

    async def sample(
        self, prompt: Prompt, seeds: Sequence[int], sampling: Sampling, *, stop: Sequence[str] | None = None
    ) -> list[Generation]:
        self.count += len(seeds)
        return await super().sample(prompt, seeds, sampling, stop=stop)


def solution(ord_: int, **known: Known) -> StoredSolution:
    found = {int(step[1:]): entry for step, entry in known.items()}
    return StoredSolution(ord_, f"s{ord_}", "How many?", STEPS, keys=KEYS, known=found)


def judge(
    solutions: Sequence[StoredSolution], judging: Judging | None, *, in_flight: int = 100, k: int = 4
) -> tuple[list[SolutionScore], int]:
    engine, scores = Counting(), list[SolutionScore]()

    async def run() -> None:
        await engine.start()
        work = JudgeSpec.of(replace(RECIPE, k=k), 0)
        assert await judge_solutions(
            engine, Budget(in_flight), work, solutions, scores.append, lambda: False, judging=judging
        )

    asyncio.run(run())
    return sorted(scores, key=lambda score: score.ord), engine.count


def said(score: SolutionScore) -> list[tuple[object, ...]]:
    return [(c.step, c.k, c.verdict, c.p_yes, c.tokens, c.text) for c in score.critiques]


@pytest.mark.parametrize("in_flight", [1, 3, 100])
def test_equal_steps_are_judged_once_and_have_what_each_would_have_had_alone(in_flight: int) -> None:
    solutions = [solution(ord_) for ord_ in range(5)]
    separate, paid = judge(solutions, None, in_flight=in_flight)
    shared, paid_once = judge(solutions, Judging(), in_flight=in_flight)
    assert [said(score) for score in shared] == [said(score) for score in separate]
    assert [score.rewards for score in shared] == [score.rewards for score in separate]
    assert (paid, paid_once) == (5 * 12, 12)
    assert sum(c.reused for score in shared for c in score.critiques) == 4 * 12


def test_what_the_store_knows_is_taken_and_the_rest_is_sampled() -> None:
    (whole,), _ = judge([solution(0)], None)
    first = tuple(c for c in whole.critiques if c.step == 1)[:3]
    (score,), paid = judge([solution(0, s1=Known(first, True))], Judging())
    assert said(score) == said(whole)
    assert paid == 12 - 3
    assert [c.reused for c in score.critiques if c.step == 1] == [True, True, True, False]
    assert score.keys == KEYS


def test_a_judgement_without_texts_is_never_passed_on() -> None:
    bare = tuple(Critique(1, k, Verdict.YES, 1.0, 5, Finish.STOP, "") for k in range(4))
    scores, _ = judge([solution(0, s1=Known(bare, False)), solution(1)], Judging())
    assert all(c.text for c in scores[1].critiques)


def test_one_that_is_cancelled_leaves_the_judgement_to_the_next() -> None:
    async def run() -> int:
        engine, judging, work = Counting(), Judging(), JudgeSpec.of(RECIPE, 0)
        await engine.start()
        scores: list[SolutionScore] = []

        def start(ord_: int) -> asyncio.Task[bool]:
            return asyncio.ensure_future(
                judge_solutions(
                    engine, Budget(100), work, [solution(ord_)], scores.append, lambda: False, judging=judging
                )
            )

        first, second = start(0), start(1)
        await asyncio.sleep(0.002)
        first.cancel()
        assert await asyncio.wait_for(second, 5)
        assert [score.ord for score in scores] == [1]
        return sum(c.reused for c in scores[0].critiques)

    assert asyncio.run(run()) == 0


def test_what_is_forgotten_is_bought_again() -> None:
    judging = Judging(most_critiques=4)
    solutions = [StoredSolution(i, f"s{i}", "p", (f"step {i}",), keys=(bytes([i + 1]) * 16,)) for i in range(3)]
    _, paid = judge([*solutions, replace_ord(solutions[0], 3), replace_ord(solutions[2], 4)], judging, in_flight=4)
    assert paid in (3 * 4, 4 * 4)
    assert judging._count <= 4


def replace_ord(stored: StoredSolution, ord_: int) -> StoredSolution:
    return StoredSolution(ord_, f"s{ord_}", stored.problem, stored.steps, keys=stored.keys)
