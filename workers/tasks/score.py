"""Scoring: one pass over each solution gives the rewards of all its steps. Shards, records and failures as in judging.

Each judged step gets one verdict row without a text: k = 0, the reward in the family's own unit in place of P(Yes), and
Yes or No by the job's threshold. No token is generated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rprm_jobs.aggregation import failed_solution, score_solution
from rprm_jobs.engine import Scorer, SolutionPrompt
from rprm_jobs.errors import ConfigError, ItemFailure
from rprm_jobs.judge.families.scoring import ScoreFamily
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.store.records import StoredSolution
from rprm_jobs.types import Critique, Finish, SolutionScore, Verdict
from rprm_jobs.words import counted
from workers.tasks.budget import Budget, Turn
from workers.tasks.common import AttemptFailed, Emit, run_concurrently


async def score_solutions(
    scorer: object,
    budget: Budget,
    recipe: Recipe,
    solutions: Sequence[StoredSolution],
    emit: Emit,
    draining: Callable[[], bool],
) -> bool:
    """Score all solutions and pass each outcome to `emit`. False when the worker drained before some were begun.

    Raises ConfigError when the worker's engine does not score, EngineDied or AttemptFailed.
    """
    family = recipe.judge_family
    if not isinstance(scorer, Scorer) or not isinstance(family, ScoreFamily):
        raise ConfigError(f"family {family.name} needs an engine that scores", hint="start a worker with --family")

    async def score(solution: StoredSolution) -> SolutionScore | None:
        taken = await budget.take(1, Turn(budget.begin_solution()))
        try:
            if draining():
                return None
            rewards = await rewards_of(scorer, family, solution.problem, solution.steps)
        except ItemFailure as failure:
            return failed_solution(solution.ord, len(solution.steps), str(failure), judged=solution.judge_steps)
        finally:
            budget.give(taken)
        return outcome(solution, rewards, recipe.threshold)

    return await run_concurrently(solutions, score, emit)


async def rewards_of(scorer: Scorer, family: ScoreFamily, problem: str, steps: Sequence[str]) -> list[float]:
    """The reward of each step, in the family's unit. Raises ItemFailure leaves, EngineDied and AttemptFailed."""
    prompt = scorer.encode_solution(problem, steps)
    outputs = await _scored(scorer, prompt)
    if len(outputs) != len(steps):
        raise AttemptFailed(f"the engine gave {counted(len(outputs), 'score')} for {counted(len(steps), 'step')}")
    return [family.reward(numbers) for numbers in outputs]


async def _scored(scorer: Scorer, prompt: SolutionPrompt) -> list[tuple[float, ...]]:
    try:
        return await scorer.score(prompt)
    except SystemExit as error:
        # asyncio would let it end the loop, and with it the work on every other shard.
        raise AttemptFailed(f"the engine raised SystemExit({error.code})") from error


def outcome(solution: StoredSolution, rewards: Sequence[float], threshold: float) -> SolutionScore:
    """The record of a scored solution: of the steps that were to be judged, one verdict row each."""
    critiques = [
        Critique(
            step, 0, Verdict.NO if rewards[step] < threshold else Verdict.YES, rewards[step], 0, Finish.STOP, text=""
        )
        for step in solution.judged_steps
    ]
    return score_solution(solution.ord, len(solution.steps), critiques, threshold, judged=solution.judge_steps)
