"""Writing solutions: cut into steps, answers read, what was cut or empty told apart; the same whoever writes them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rprm_jobs.engine import Generation, Prompt
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.types import Finish, ItemStatus, Response, SolutionScore
from tests.support.generating import problems, rollouts, stored
from tests.support.jobs import JUDGE
from workers.engines.scripted.engine import ScriptedEngine, ScriptedOptions
from workers.tasks.budget import Budget
from workers.tasks.rollout import write_solutions


class Saying(ScriptedEngine):
    """Says one thing, whatever it is asked."""

    def __init__(self, text: str, finish: Finish = Finish.STOP) -> None:
        super().__init__(JUDGE, ScriptedOptions())
        self._said = Generation(text, 5, finish, None)

    async def sample(self, _: Prompt, seeds: Sequence[int], *__: object, **___: object) -> list[Generation]:
        return [self._said for _ in seeds]


def write(engine: ScriptedEngine | None = None, recipe: Recipe | None = None, n: int = 1) -> list[SolutionScore]:
    found: list[SolutionScore | Response] = []
    made = engine or ScriptedEngine(JUDGE, ScriptedOptions())

    async def run() -> None:
        await made.start()
        done = await write_solutions(
            made, Budget(3), recipe or rollouts(), 0, stored(problems(n)), found.append, lambda: False
        )
        assert done

    asyncio.run(run())
    scores = [one for one in found if isinstance(one, SolutionScore)]
    assert len(scores) == n
    return sorted(scores, key=lambda score: score.ord)


def test_a_solution_is_steps_and_an_answer() -> None:
    (score,) = write(Saying("First\n\n\n\n  Second \n\nso \\boxed{ 4 }"))
    response = score.response
    assert response is not None
    assert response.steps == ("First", "Second", "so \\boxed{ 4 }")
    assert (response.answer, response.finish, response.tokens) == ("4", Finish.STOP, 5)
    assert (score.status, score.rewards, score.first_error, score.critiques) == (ItemStatus.OK, (), -1, ())


def test_the_answer_is_found_by_the_policys_pattern() -> None:
    (score,) = write(Saying("1+1=2.\n\n2+2=4."), rollouts(answer_pattern=r"=(\d+)\.$"))
    assert score.response is not None
    assert score.response.answer == "4"


def test_what_the_token_limit_cut_has_no_answer() -> None:
    (score,) = write(Saying("a\n\n\\boxed{1} and then", Finish.LENGTH))
    assert score.response is not None
    assert (score.response.answer, score.response.finish) == (None, Finish.LENGTH)


def test_a_policy_that_writes_nothing_fails_the_problem_with_a_reason() -> None:
    (score,) = write(Saying("\n\n \n\n"))
    assert (score.status, score.response) == (ItemStatus.FAILED, None)
    assert score.reason is not None
    assert "no step" in score.reason


def test_a_response_is_a_function_of_its_problem_and_seed() -> None:
    def steps(scores: list[SolutionScore]) -> list[tuple[str, ...]]:
        return [score.response.steps for score in scores if score.response is not None]

    one, again, other = (steps(write(n=8, recipe=rollouts(seed=seed))) for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_a_worker_that_drains_begins_nothing() -> None:
    async def run() -> tuple[bool, list[SolutionScore | Response]]:
        found: list[SolutionScore | Response] = []
        engine = ScriptedEngine(JUDGE, ScriptedOptions())
        await engine.start()
        done = await write_solutions(engine, Budget(2), rollouts(), 0, stored(problems(4)), found.append, lambda: True)
        return done, found

    assert asyncio.run(run()) == (False, [])
