"""Result rows of jobs that write: one solution a row, which can be submitted to be judged as it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rprm_jobs.store.records import Job
from rprm_jobs.store.results.responses import RolloutRow, read_rollout_rows
from rprm_jobs.store.session import Database

WRITTEN_KEYS = frozenset(
    {"id", "status", "reason", "problem", "steps", "answer", "finish", "tokens", "rewards", "tree"}
)


def rollout_rows(database: Database, job: Job, *, tree: bool = False) -> Iterator[dict[str, Any]]:
    """A row for every problem that has an outcome. `finish` is "stop", or "length" where the token limit cut it."""
    for batch in read_rollout_rows(database, job, with_tree=tree):
        for rollout in batch:
            if rollout.status is not None:
                yield _row(rollout, tree=tree)


def _row(rollout: RolloutRow, *, tree: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"id": rollout.id, "status": rollout.status}
    if rollout.reason is not None:
        row["reason"] = rollout.reason
    row["problem"] = rollout.problem
    if (response := rollout.response) is not None:
        row["steps"] = list(response.steps)
        row["answer"] = response.answer
        row["finish"] = None if response.finish is None else response.finish.value
        row["tokens"] = response.tokens
        if response.rewards is not None:
            row["rewards"] = list(response.rewards)
        if tree and response.tree is not None:
            row["tree"] = response.tree
    for key, value in rollout.metadata.items():
        # A field of the input never replaces a result.
        row[f"metadata.{key}" if key in WRITTEN_KEYS else key] = value
    return row
