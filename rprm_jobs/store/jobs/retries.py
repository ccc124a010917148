"""Judging failed solutions again: their outcomes are dropped, and the finished shards that hold them become ready.

The shards get a new retry epoch (column `round`), so that the critiques are drawn anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.crash import crash_point
from rprm_jobs.errors import Conflict
from rprm_jobs.store.jobs import batches, extension_state, jobs
from rprm_jobs.store.jobs.batches import Batch
from rprm_jobs.store.schema.partitions import partition, tables_of
from rprm_jobs.store.session import Database
from rprm_jobs.store.training import sets
from rprm_jobs.types import JobKind

_REOPEN = text(
    "UPDATE shards SET state = 'ready', failures = 0, round = round + 1, rung_at = NULL, finished_at = NULL,"
    " error = NULL WHERE id = ANY(:ids)"
)


def retry_failed(
    database: Database, job_id: int, *, quarantined: bool, queued: Callable[[], object] = lambda: None
) -> int:
    """Judge the failed (and, when asked, the quarantined) solutions of finished shards again; how many they are.

    `queued` is called once, when the first of them are in the queue. Raises NotFound, and Conflict when the job is
    cancelled or being extended, or when a training set is built on it.
    """
    count, after = 0, -1
    while True:
        with database.transaction() as connection:
            batch = _retry_batch(connection, job_id, after, quarantined=quarantined)
        if batch is None:
            return count
        if batch.count and not count:
            queued()
        count, after = count + batch.count, batch.after


@dataclass(frozen=True, slots=True)
class _RetriedBatch:
    """`count` solutions of the batch are judged again; the next batch begins `after` this ord."""

    count: int
    after: int


def _retry_batch(connection: Connection, job_id: int, after: int, *, quarantined: bool) -> _RetriedBatch | None:
    if jobs.lock(connection, job_id) is not None:
        raise Conflict(f"job {job_id} was cancelled", hint="submit its file again")
    job = extension_state.settle(connection, job_id)
    if job.extension is not None and job.extension.running:
        raise Conflict(
            f"job {job_id} is being extended",
            hint=f"wait for it, or cancel the extension: rprm-jobs cancel {job_id}",
        )
    batch = batches.next_batch(connection, job_id, after, "state = 'done'")
    if batch is None:
        return None
    statuses = ["failed", "quarantined"] if quarantined else ["failed"]
    count = _retry(connection, job_id, job.kind, batch, statuses)
    crash_point("retry.before-commit")
    return _RetriedBatch(count, batch.shards[-1].first_ord)


def _retry(connection: Connection, job_id: int, kind: JobKind, batch: Batch, statuses: list[str]) -> int:
    query = text(
        f"SELECT ord FROM {partition('scores', job_id)}"
        " WHERE ord BETWEEN :first AND :last AND status = ANY(:statuses) ORDER BY ord"
    )
    holders = batch.holders(connection.execute(query, {**batch.range, "statuses": statuses}).scalars())
    ords = [ord_ for held in holders.values() for ord_ in held]
    if ords:
        sets.refuse_used(connection, job_id, "a retry would throw away critiques")
        drop_outcomes(connection, job_id, kind, batch, ords)
        connection.execute(_REOPEN, {"ids": list(holders)})
    return len(ords)


def drop_outcomes(connection: Connection, job_id: int, kind: JobKind, batch: Batch, ords: list[int]) -> int:
    """Drop the outcomes of these solutions of the batch with all that belongs to them; returns how many there were.

    Of a job that writes that is also how far a search had come: it failed there, and would again.
    """
    values = {**batch.range, "ords": ords}
    range_ = "ord BETWEEN :first AND :last AND ord = ANY(:ords)"
    dropped = connection.execute(
        text(
            f"DELETE FROM {partition('scores', job_id)} WHERE {range_} RETURNING shard_id, status,"
            " cardinality(array_remove(critiques_per_step, NULL)) AS steps"
        ),
        values,
    ).all()
    counts = [
        (row.shard_id, -(row.status == "ok"), -(row.status == "failed"), -(row.status == "quarantined"), -row.steps)
        for row in dropped
    ]
    batches.add_counts(connection, counts)
    for table in tables_of(kind):
        if table.name not in ("solutions", "scores"):
            connection.execute(text(f"DELETE FROM {partition(table.name, job_id)} WHERE {range_}"), values)
    return len(dropped)
