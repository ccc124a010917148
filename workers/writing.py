"""Writing on the engine's loop: a whole solution for every problem, cut into steps, with its final answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rprm_jobs.aggregation import failed_solution
from rprm_jobs.engine import Engine, Generation
from rprm_jobs.errors import ConfigError, ItemFailure
from rprm_jobs.evaluation.answers import stated_answer
from rprm_jobs.judge.policy import PROBLEM
from rprm_jobs.judge.recipe import Recipe, Writing, critique_seed
from rprm_jobs.store.records import StoredSolution
from rprm_jobs.types import Finish, ItemStatus, Response, SolutionScore
from workers.budget import Budget, Turn
from workers.together import Emit, sampled, side_by_side


def writing_of(recipe: Recipe) -> Writing:
    """How the job's policy writes. Raises ConfigError when the recipe does not say."""
    if recipe.writing is None:
        raise ConfigError("the job's recipe says nothing of a policy", mend="submit the problems again")
    return recipe.writing


def message(writing: Writing, problem: str) -> str:
    """The user message that asks for a solution."""
    return writing.prompt.replace(PROBLEM, problem)


def written(response: Response) -> SolutionScore:
    """The outcome of a problem for which the policy wrote this."""
    return SolutionScore(response.ord, ItemStatus.OK, (), -1, (), response=response)


async def write_solutions(
    engine: Engine,
    budget: Budget,
    recipe: Recipe,
    round_: int,
    solutions: Sequence[StoredSolution],
    emit: Emit,
    draining: Callable[[], bool],
) -> bool:
    """Write all solutions, handing each to `emit` as it comes. False when draining kept some from starting.

    Raises EngineDied, or AttemptFailed; outcomes emitted before stay good.
    """
    writing = writing_of(recipe)

    async def one(problem: StoredSolution) -> SolutionScore | None:
        taken = await budget.take(1, Turn(budget.begin_solution()))
        try:
            if draining():
                return None
            seed = critique_seed(recipe.seed, problem.id, 0, 0, round_)
            prompt = engine.encode(message(writing, problem.problem))
            (made,) = await sampled(engine, prompt, [seed], writing.sampling, stop=())
            return _outcome(writing, problem, made)
        except ItemFailure as failure:
            return failed_solution(problem.ord, 0, str(failure))
        finally:
            budget.give(taken)

    return await side_by_side(solutions, one, emit)


def _outcome(writing: Writing, problem: StoredSolution, made: Generation) -> SolutionScore:
    steps = tuple(piece.strip() for piece in made.text.split(writing.separator) if piece.strip())
    if not steps:
        return failed_solution(problem.ord, 0, f"the policy wrote no step in {made.tokens} tokens")
    # What was cut has no final answer, whatever stands in it.
    answer = stated_answer(made.text, writing.answer_pattern) if made.finish is Finish.STOP else None
    return written(Response(problem.ord, steps, made.finish, made.tokens, answer))
