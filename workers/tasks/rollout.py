"""Rollouts: the policy writes a whole solution for every problem; it is cut into steps and its answer is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rprm_jobs.aggregation import failed_solution
from rprm_jobs.engine import Engine, Generation
from rprm_jobs.errors import ConfigError, ItemFailure
from rprm_jobs.evaluation.answers import stated_answer
from rprm_jobs.judge.policy import PROBLEM
from rprm_jobs.judge.recipe import GenerationConfig, Recipe, critique_seed
from rprm_jobs.store.records import StoredSolution
from rprm_jobs.types import Finish, ItemStatus, Response, SolutionScore
from workers.tasks.budget import Budget, Turn
from workers.tasks.common import Emit, run_concurrently, sampled


def generation_config_of(recipe: Recipe) -> GenerationConfig:
    """How the job's policy writes. Raises ConfigError when the recipe does not say."""
    if recipe.generation_config is None:
        raise ConfigError("the job's recipe names no policy", hint="submit the problems again")
    return recipe.generation_config


def message(generation_config: GenerationConfig, problem: str) -> str:
    """The user message that asks for a solution."""
    return generation_config.prompt.replace(PROBLEM, problem)


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
    """Write all solutions and pass each to `emit`. False when the worker drained before some were begun.

    Raises EngineDied or AttemptFailed; outcomes that were emitted before stay good.
    """
    generation_config = generation_config_of(recipe)

    async def write(problem: StoredSolution) -> SolutionScore | None:
        taken = await budget.take(1, Turn(budget.begin_solution()))
        try:
            if draining():
                return None
            seed = critique_seed(recipe.seed, problem.id, 0, 0, round_)
            prompt = engine.encode(message(generation_config, problem.problem))
            (generation,) = await sampled(engine, prompt, [seed], generation_config.sampling, stop=())
            return _outcome(generation_config, problem, generation)
        except ItemFailure as failure:
            return failed_solution(problem.ord, 0, str(failure))
        finally:
            budget.give(taken)

    return await run_concurrently(solutions, write, emit)


def _outcome(generation_config: GenerationConfig, problem: StoredSolution, generation: Generation) -> SolutionScore:
    steps = tuple(piece.strip() for piece in generation.text.split(generation_config.separator) if piece.strip())
    if not steps:
        return failed_solution(problem.ord, 0, f"the policy wrote no step in {generation.tokens} tokens")
    # A text that was cut has no final answer, whatever it says.
    answer = (
        stated_answer(generation.text, generation_config.answer_pattern) if generation.finish is Finish.STOP else None
    )
    return written(Response(problem.ord, steps, generation.finish, generation.tokens, answer))
