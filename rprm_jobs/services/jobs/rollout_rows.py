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
        for one in batch:
            if one.status is not None:
                yield _row(one, tree=tree)


def _row(one: RolloutRow, *, tree: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"id": one.id, "status": one.status}
    if one.reason is not None:
        row["reason"] = one.reason
    row["problem"] = one.problem
    if (made := one.response) is not None:
        row["steps"] = list(made.steps)
        row["answer"] = made.answer
        row["finish"] = None if made.finish is None else made.finish.value
        row["tokens"] = made.tokens
        if made.rewards is not None:
            row["rewards"] = list(made.rewards)
        if tree and made.tree is not None:
            row["tree"] = made.tree
    for key, value in one.metadata.items():
        # A field of the input never replaces a result.
        row[f"metadata.{key}" if key in WRITTEN_KEYS else key] = value
    return row
