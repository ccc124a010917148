"""Judging what somebody waits for: solutions join the live job of their run, and outcomes are looked up by `ord`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.services.context import Context
from rprm_jobs.services.upkeep.sweep import notify_first
from rprm_jobs.store.jobs import live
from rprm_jobs.store.jobs.live import Added, LiveOutcome
from rprm_jobs.types import KeepCritiques, Solution

__all__ = ["Added", "LiveOutcome", "Outcomes", "add", "content_id", "look_up", "notify"]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The outcomes that there are, by `ord`; in a `cancelled` job the others will get none."""

    by_ord: dict[int, LiveOutcome]
    cancelled: bool


def content_id(problem: str, steps: Sequence[str]) -> str:
    """The id of a solution that is known by its content alone: equal ones are judged once in a run."""
    content = msgspec.json.encode((problem, steps))
    return hashlib.sha256(content).hexdigest()[:32]


def add(
    context: Context,
    run: str,
    recipe: Recipe,
    solutions: Sequence[Solution],
    *,
    keep: KeepCritiques = KeepCritiques.ALL,
) -> Added:
    """Queue the solutions in the urgent lane, unless the run has them. Raises StoreError. `notify` workers next."""
    with context.database.transaction() as connection:
        return live.add(connection, run, recipe, solutions, keep=keep, shard_solutions=context.settings.shard_solutions)


def notify(context: Context, recipe: Recipe) -> None:
    """Notify workers of what was added; without Redis idle ones find it within a second."""
    notify_first(context, recipe.queue)


def look_up(context: Context, job_id: int, ords: Sequence[int]) -> Outcomes:
    """The outcomes of these solutions so far. Raises Deleted with the job, StoreError."""
    with context.database.transaction() as connection:
        by_ord = live.outcomes(connection, job_id, ords)
        return Outcomes(by_ord, len(by_ord) < len(ords) and live.is_cancelled(connection, job_id))
