"""Jobs: look up, list, progress, cancel, delete. A job's state is read off its shards, never counted apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.crash import crash_point
from rprm_jobs.errors import Conflict, NotFound
from rprm_jobs.store.queue import dependents
from rprm_jobs.store.records import MAX_ID, Job, JobState, Progress
from rprm_jobs.store.results import judgement_rows
from rprm_jobs.store.schema import partitions
from rprm_jobs.store.training import sets
from rprm_jobs.types import JobKind

# Named one by one: Postgres refuses a prepared `SELECT *` once an upgrade has added a column, and workers and waiting
# commands outlive upgrades.
_COLUMNS = (
    "id, kind, recipe, queue, judge, priority, n_solutions, n_steps, keep_critiques, sources, gathered, created_at,"
    " cancelled_at, extension, name, model_paths, reuse"
)
_PROGRESS_COLUMNS = """
  count(*) AS shards,
  count(*) FILTER (WHERE state = 'ready') AS ready,
  count(*) FILTER (WHERE state = 'leased') AS leased,
  count(*) FILTER (WHERE state = 'done' AND NOT current OR state = 'cancelled' AND cancelled_at IS NULL) AS waiting,
  count(*) FILTER (WHERE state = 'done' AND current) AS finished,
  coalesce(sum(n_ok) FILTER (WHERE current), 0)::bigint AS ok,
  coalesce(sum(n_failed) FILTER (WHERE current), 0)::bigint AS failed,
  coalesce(sum(n_quarantined) FILTER (WHERE current), 0)::bigint AS quarantined,
  coalesce(sum(steps_done) FILTER (WHERE current), 0)::bigint AS steps,
  coalesce(sum(critiques_done), 0)::bigint AS critiques,
  coalesce(sum(tokens_done), 0)::bigint AS tokens,
  coalesce(sum(critiques_reused), 0)::bigint AS critiques_reused,
  coalesce(sum(tokens_reused), 0)::bigint AS tokens_reused,
  min(claimed_at) FILTER (WHERE begun_at IS NULL OR claimed_at >= begun_at) AS started_at,
  max(finished_at) AS finished_at,
  now() AS now,
  (array_agg(error ORDER BY claimed_at DESC) FILTER (WHERE error IS NOT NULL))[1] AS last_error"""

# `generation` and `begun_at` are those of an extension that runs, NULL otherwise; a shard is `current` unless that
# extension has yet to reopen it. OFFSET 0 keeps Postgres from reading the JSON once a shard.
_PROGRESS = f"""
  SELECT job_id, {_PROGRESS_COLUMNS}
  FROM (
    SELECT id, cancelled_at, (extension ->> 'generation')::int AS generation,
           (extension ->> 'begun_at')::timestamptz AS begun_at
    FROM (SELECT id, cancelled_at, CASE WHEN extension @> '{{"running": true}}' THEN extension END AS extension
          FROM jobs WHERE id = ANY(:ids)) AS stored
    OFFSET 0) AS job
  JOIN LATERAL (
    SELECT job_id, state, generation IS NULL OR extension >= generation AS current, n_ok, n_failed, n_quarantined,
           steps_done, critiques_done, tokens_done, critiques_reused, tokens_reused, claimed_at, finished_at, error
    FROM shards WHERE job_id = job.id) AS shard ON TRUE
  GROUP BY job_id"""


def get(connection: Connection, job_id: int) -> Job:
    """The job. Raises NotFound."""
    row = (
        connection.execute(text(f"SELECT {_COLUMNS} FROM jobs WHERE id = :id"), {"id": job_id}).mappings().one_or_none()
    )
    if row is None:
        raise _not_found(job_id)
    return Job.from_row(dict(row))


def lock(connection: Connection, job_id: int) -> datetime | None:
    """Lock the job against other changes of it until the transaction ends; returns when it was cancelled.

    Raises NotFound. The recipe is not read, so a job of a newer version can be cancelled and deleted.
    """
    query = text("SELECT cancelled_at FROM jobs WHERE id = :id FOR UPDATE")
    row = connection.execute(query, {"id": job_id}).one_or_none()
    if row is None:
        raise _not_found(job_id)
    cancelled_at: datetime | None = row.cancelled_at
    return cancelled_at


def _not_found(job_id: int) -> NotFound:
    return NotFound(f"there is no job {job_id}", hint="list them: rprm-jobs jobs")


def progress(connection: Connection, job_id: int) -> Progress:
    """What the job's shards add up to. Raises NotFound."""
    by_job = _progress(connection, [job_id])
    if job_id not in by_job:
        raise _not_found(job_id)
    return by_job[job_id]


def _progress(connection: Connection, job_ids: Sequence[int]) -> dict[int, Progress]:
    rows = connection.execute(text(_PROGRESS), {"ids": list(job_ids)}).mappings()
    return {row["job_id"]: Progress(**{k: v for k, v in row.items() if k != "job_id"}) for row in rows}


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs to list: all, or those of these states and kinds whose judge and name contain these texts."""

    states: tuple[JobState, ...] = ()
    kinds: tuple[JobKind, ...] = ()
    judge: str | None = None
    name: str | None = None


_FILTERED = f"""
    SELECT {_COLUMNS} FROM jobs
    WHERE id < :before AND (CAST(:kinds AS text[]) IS NULL OR kind = ANY(:kinds))
      AND (CAST(:judge AS text) IS NULL OR strpos(lower(judge), lower(:judge)) > 0)
      AND (CAST(:name AS text) IS NULL OR strpos(lower(name), lower(:name)) > 0)
    ORDER BY id DESC LIMIT :limit"""


def list_recent(
    connection: Connection, limit: int, wanted: JobFilter | None = None, *, before: int = MAX_ID
) -> list[tuple[Job, Progress]]:
    """The newest jobs first, each with its progress, until `limit` of those that are `wanted` (default: all).

    Only those with a lower id than `before`.
    """
    wanted = wanted or JobFilter()
    listed: list[tuple[Job, Progress]] = []
    kinds = [kind.value for kind in wanted.kinds] or None
    while len(listed) < limit:
        values = {"before": before, "kinds": kinds, "judge": wanted.judge, "name": wanted.name, "limit": limit}
        page = [Job.from_row(dict(row)) for row in connection.execute(text(_FILTERED), values).mappings()]
        by_job = _progress(connection, [job.id for job in page])
        # A job's state is not stored.
        listed += [
            (job, by_job[job.id]) for job in page if not wanted.states or by_job[job.id].state(job) in wanted.states
        ]
        if len(page) < limit:
            break
        before = page[-1].id
    return listed[:limit]


def all_ids(connection: Connection) -> list[int]:
    """Every job's id, oldest first."""
    return list(connection.execute(text("SELECT id FROM jobs ORDER BY id")).scalars())


def cancel(connection: Connection, job_id: int) -> bool:
    """Cancel: no shard is leased and nothing more is recorded once this commits; what was recorded stays.

    False when the job was cancelled before. Raises NotFound, and Conflict when the job is finished. An extension is
    cancelled by `rprm_jobs.store.jobs.extensions.cancel`.
    """
    if lock(connection, job_id) is not None:
        return False
    if not end_live_shards(connection, job_id):
        raise Conflict(
            f"job {job_id} is finished", hint=f"there is nothing left to cancel; read it: rprm-jobs results {job_id}"
        )
    # A cancelled job no longer answers for its input: the same submission makes a new job.
    crash_point("cancel.before-commit")
    connection.execute(text("UPDATE jobs SET cancelled_at = now(), dedupe_key = NULL WHERE id = :id"), {"id": job_id})
    return True


def end_live_shards(connection: Connection, job_id: int) -> int:
    """Take the job's ready and leased shards out of the queue, from their holders too; returns how many."""
    query = text(
        "UPDATE shards SET state = 'cancelled', owner = NULL, lease_until = NULL"
        " WHERE job_id = :id AND state IN ('ready', 'leased')"
    )
    return connection.execute(query, {"id": job_id}).rowcount


def delete(connection: Connection, job_id: int) -> None:
    """Remove the job and all that it brought. Raises NotFound, and Conflict while it is alive or a set needs it."""
    lock(connection, job_id)
    live = connection.execute(
        text("SELECT count(*) FROM shards WHERE job_id = :id AND state IN ('ready', 'leased')"), {"id": job_id}
    ).scalar_one()
    if live:
        raise Conflict(f"job {job_id} is not finished", hint=f"first: rprm-jobs cancel {job_id}")
    sets.refuse_used(connection, job_id, "deleting it would remove critiques")
    dependents.drop_copy(connection, job_id)
    partitions.drop(connection, job_id)
    judgement_rows.forget(connection, job_id)
    connection.execute(text("DELETE FROM jobs WHERE id = :id"), {"id": job_id})
