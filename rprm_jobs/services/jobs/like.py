"""Which finished jobs an estimate may learn from: those that are like the one to be estimated.

What a critique is long depends on judge, prompt, sampling and the length of what is judged; how many critiques a step
gets depends on K and the stopping rule as well; how fast they come depends on the judge's workers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.services.context import Context
from rprm_jobs.store.jobs.measured import MeasuredJob, read_measured

# Solutions are of similar length when neither mean is more than so many times the other.
_SIMILAR = 1.5
_TEXT = ("prompt", "sampling")
_STOPPING = ("policy", "k", "threshold")


@dataclass(frozen=True, slots=True)
class Measured:
    """A mean over `jobs` jobs, weighted by their work, and the lowest and the highest mean of one of them."""

    mean: float
    low: float
    high: float
    jobs: int


@dataclass(frozen=True, slots=True)
class LikeJobs:
    """What the store knows of jobs like one; None where it knows no such job."""

    tokens_per_critique: Measured | None
    critiques_per_step: Measured | None
    tokens_per_s: Measured | None


def like_jobs(context: Context, recipe: Recipe, characters: float) -> LikeJobs:
    """Of jobs like one with this recipe, whose solutions have so many characters on average (problem and steps)."""
    with context.database.transaction() as connection:
        measured = read_measured(connection, recipe.queue)
    return choose_like(measured, recipe, characters)


def choose_like(measured: Sequence[MeasuredJob], recipe: Recipe, characters: float) -> LikeJobs:
    """`like_jobs` of jobs that have been read."""
    wanted = recipe.to_builtins()
    similar = [job for job in measured if _is_similar(job, wanted, characters)]
    stopping = [job for job in similar if _stops_alike(job.recipe, wanted)]
    return LikeJobs(
        tokens_per_critique=_mean(similar, lambda job: job.tokens, lambda job: job.critiques - job.reused),
        critiques_per_step=_mean(stopping, lambda job: job.critiques, lambda job: job.steps),
        tokens_per_s=_mean(measured, lambda job: job.tokens, lambda job: job.seconds),
    )


def _is_similar(job: MeasuredJob, wanted: Mapping[str, Any], characters: float) -> bool:
    shorter, longer = sorted((job.characters, characters))
    return longer <= shorter * _SIMILAR and all(job.recipe.get(name) == wanted[name] for name in _TEXT)


def _stops_alike(recipe: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    until = recipe.get("until_first_error", False) == wanted.get("until_first_error", False)
    return until and all(recipe.get(name) == wanted[name] for name in _STOPPING)


def _mean(
    jobs: Sequence[MeasuredJob], part: Callable[[MeasuredJob], float], whole: Callable[[MeasuredJob], float]
) -> Measured | None:
    rates = [(part(job) / whole(job), whole(job)) for job in jobs if whole(job) > 0]
    if not rates:
        return None
    total = sum(weight for _, weight in rates)
    mean = sum(rate * weight for rate, weight in rates) / total
    return Measured(mean, min(rate for rate, _ in rates), max(rate for rate, _ in rates), len(rates))
