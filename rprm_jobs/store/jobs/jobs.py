"""Jobs: look up, list, progress, cancel, retry, delete. A job's state is read off its shards, never counted apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.crash import crash_point
from rprm_jobs.errors import Conflict, NotFound
from rprm_jobs.store.records import Job, Progress
from rprm_jobs.store.schema import partitions
from rprm_jobs.store.schema.partitions import partition
from rprm_jobs.store.training import sets

# Named one by one: Postgres refuses a prepared `SELECT *` once an upgrade has added a column, and workers and waiting
# commands outlive upgrades.
_COLUMNS = (
    "id, kind, recipe, queue, judge, priority, n_solutions, n_steps, keep_critiques, sources, gathered, created_at,"
    " cancelled_at"
)
_PROGRESS_COLUMNS = """
  count(*) AS shards,
  count(*) FILTER (WHERE state = 'ready') AS ready,
  count(*) FILTER (WHERE state = 'leased') AS leased,
  count(*) FILTER (WHERE state = 'done') AS finished,
  coalesce(sum(n_ok), 0)::bigint AS ok,
  coalesce(sum(n_failed), 0)::bigint AS failed,
  coalesce(sum(n_quarantined), 0)::bigint AS quarantined,
  coalesce(sum(steps_done), 0)::bigint AS steps,
  coalesce(sum(critiques_done), 0)::bigint AS critiques,
  coalesce(sum(tokens_done), 0)::bigint AS tokens,
  min(claimed_at) AS started_at,
  max(finished_at) AS finished_at,
  now() AS now,
  (array_agg(error ORDER BY claimed_at DESC) FILTER (WHERE error IS NOT NULL))[1] AS last_error"""


def get(connection: Connection, job_id: int) -> Job:
    """The job. Raises NotFound."""
    row = (
        connection.execute(text(f"SELECT {_COLUMNS} FROM jobs WHERE id = :id"), {"id": job_id}).mappings().one_or_none()
    )
    if row is None:
        raise NotFound(f"there is no job {job_id}", hint="list them: rprm-jobs jobs")
    return Job.from_row(dict(row))


def progress(connection: Connection, job_id: int) -> Progress:
    """What the job's shards add up to."""
    query = text(f"SELECT {_PROGRESS_COLUMNS} FROM shards WHERE job_id = :id")
    return Progress(**connection.execute(query, {"id": job_id}).mappings().one())


def list_recent(connection: Connection, limit: int) -> list[tuple[Job, Progress]]:
    """The newest jobs first, each with its progress."""
    query = text(f"SELECT {_COLUMNS} FROM jobs ORDER BY id DESC LIMIT :limit")
    newest = [Job.from_row(dict(row)) for row in connection.execute(query, {"limit": limit}).mappings()]
    sums = connection.execute(
        text(f"SELECT job_id, {_PROGRESS_COLUMNS} FROM shards WHERE job_id = ANY(:ids) GROUP BY job_id"),
        {"ids": [job.id for job in newest]},
    ).mappings()
    by_job = {row["job_id"]: Progress(**{k: v for k, v in row.items() if k != "job_id"}) for row in sums}
    return [(job, by_job[job.id]) for job in newest]


def all_ids(connection: Connection) -> list[int]:
    """Every job's id, oldest first."""
    return list(connection.execute(text("SELECT id FROM jobs ORDER BY id")).scalars())


def cancel(connection: Connection, job_id: int) -> bool:
    """Cancel: no shard is leased and nothing more is recorded once this commits; what was recorded stays.

    False when the job was cancelled before. Raises NotFound, and Conflict when the job is finished.
    """
    query = text("SELECT cancelled_at FROM jobs WHERE id = :id FOR UPDATE")
    row = connection.execute(query, {"id": job_id}).one_or_none()
    if row is None:
        raise NotFound(f"there is no job {job_id}", hint="list them: rprm-jobs jobs")
    if row.cancelled_at is not None:
        return False
    live = connection.execute(
        text(
            "UPDATE shards SET state = 'cancelled', owner = NULL, lease_until = NULL"
            " WHERE job_id = :id AND state IN ('ready', 'leased')"
        ),
        {"id": job_id},
    ).rowcount
    if not live:
        raise Conflict(f"job {job_id} is finished", hint="there is nothing left to cancel; see: rprm-jobs results")
    # A cancelled job no longer answers for its input: the same submission makes a new job.
    crash_point("cancel.before-commit")
    connection.execute(text("UPDATE jobs SET cancelled_at = now(), dedupe_key = NULL WHERE id = :id"), {"id": job_id})
    return True


def retry_failed(connection: Connection, job_id: int, *, quarantined: bool) -> int:
    """Judge the failed (and, when asked, the quarantined) solutions of finished shards again; how many they are.

    Their shards become ready in a new `round`, so that the critiques are drawn anew. Raises Conflict when cancelled, or
    when a training set is built on the job.
    """
    query = text("SELECT cancelled_at FROM jobs WHERE id = :id FOR UPDATE")
    row = connection.execute(query, {"id": job_id}).one_or_none()
    if row is None:
        raise NotFound(f"there is no job {job_id}", hint="list them: rprm-jobs jobs")
    if row.cancelled_at is not None:
        raise Conflict(f"job {job_id} was cancelled", hint="submit its file again")
    statuses = ["failed", "quarantined"] if quarantined else ["failed"]
    reopened = connection.execute(_reopen(job_id), {"id": job_id, "statuses": statuses}).all()
    if reopened:
        sets.refuse_used(connection, job_id, "a retry would throw away critiques that")
    # Of what writes also how far a search had come: it failed there, and would again.
    bulk = partitions.tables_of(get(connection, job_id).kind)
    for table in (one.name for one in bulk if one.name not in ("solutions", "scores")):
        connection.execute(
            text(
                f"DELETE FROM {partition(table, job_id)} AS t WHERE NOT EXISTS"
                f" (SELECT 1 FROM {partition('scores', job_id)} AS s WHERE s.ord = t.ord) AND t.ord = ANY(:ords)"
            ),
            {"ords": [row.ord for row in reopened]},
        )
    return len(reopened)


def _reopen(job_id: int) -> Any:
    # One statement: drop the outcomes, take them off the counters of the shards that recorded them, and make the shards
    # that hold them now ready. After a split the two may be different shards.
    return text(
        f"""
        WITH done AS (SELECT id, first_ord, last_ord FROM shards WHERE job_id = :id AND state = 'done' FOR UPDATE),
        gone AS (
          DELETE FROM {partition("scores", job_id)} AS r USING done AS d
          WHERE r.ord BETWEEN d.first_ord AND d.last_ord AND r.status = ANY(:statuses)
          RETURNING r.ord, r.status, r.shard_id AS recorder, d.id AS holder,
                    cardinality(array_remove(r.critiques_per_step, NULL)) AS n_steps),
        changes AS (
          SELECT recorder AS id, false AS reopen, n_steps AS steps, (status = 'failed')::int AS failed,
                 (status = 'quarantined')::int AS quarantined FROM gone
          UNION ALL SELECT holder, true, 0, 0, 0 FROM gone),
        sums AS (
          SELECT id, bool_or(reopen) AS reopen, sum(steps) AS steps, sum(failed) AS failed,
                 sum(quarantined) AS quarantined FROM changes GROUP BY id),
        changed AS (
          UPDATE shards AS s SET n_failed = n_failed - c.failed, n_quarantined = n_quarantined - c.quarantined,
                 steps_done = steps_done - c.steps,
                 state = CASE WHEN c.reopen THEN 'ready' ELSE s.state END,
                 failures = CASE WHEN c.reopen THEN 0 ELSE s.failures END,
                 round = CASE WHEN c.reopen THEN s.round + 1 ELSE s.round END,
                 rung_at = CASE WHEN c.reopen THEN NULL ELSE s.rung_at END,
                 finished_at = CASE WHEN c.reopen THEN NULL ELSE s.finished_at END,
                 error = CASE WHEN c.reopen THEN NULL ELSE s.error END
          FROM sums AS c WHERE s.id = c.id)
        SELECT ord FROM gone"""
    )


def delete(connection: Connection, job_id: int) -> None:
    """Remove the job and all that it brought. Raises NotFound, and Conflict while it is alive or a set needs it."""
    query = text("SELECT 1 FROM jobs WHERE id = :id FOR UPDATE")
    if connection.execute(query, {"id": job_id}).one_or_none() is None:
        raise NotFound(f"there is no job {job_id}", hint="list them: rprm-jobs jobs")
    live = connection.execute(
        text("SELECT count(*) FROM shards WHERE job_id = :id AND state IN ('ready', 'leased')"), {"id": job_id}
    ).scalar_one()
    if live:
        raise Conflict(f"job {job_id} still has {live} live shards", hint=f"first: rprm-jobs cancel {job_id}")
    sets.refuse_used(connection, job_id, "deleting it would remove critiques that")
    partitions.drop(connection, job_id)
    connection.execute(text("DELETE FROM jobs WHERE id = :id"), {"id": job_id})


@dataclass(frozen=True, slots=True)
class Speed:
    """What the store knows of a judge: generated tokens a critique, and a second while its shards were worked on."""

    tokens_per_critique: float
    tokens_per_s: float


def speed(connection: Connection, queue: str) -> Speed | None:
    """Read off the judge's newest 1,000 finished shards; None when there is none with a critique.

    Shards overlap in time, so the seconds are those between the first claim and the last finish of each job.
    """
    row = connection.execute(
        text(
            """
            SELECT sum(tokens)::float8 AS tokens, sum(critiques)::float8 AS critiques, sum(seconds)::float8 AS seconds
            FROM (
              SELECT sum(tokens_done) AS tokens, sum(critiques_done) AS critiques,
                     extract(epoch FROM max(finished_at) - min(claimed_at)) AS seconds
              FROM (SELECT * FROM shards WHERE queue = :queue AND state = 'done' AND critiques_done > 0
                    ORDER BY id DESC LIMIT 1000) AS newest GROUP BY job_id) AS by_job"""
        ),
        {"queue": queue},
    ).one()
    if not row.critiques or not row.seconds:
        return None
    return Speed(row.tokens / row.critiques, row.tokens / row.seconds)
