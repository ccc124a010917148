"""Extending a finished job: its solutions are judged on, with more critiques a step and those that they have.

The job's shards become ready in a new `extension`. An outcome of an earlier one stands, and is read by everybody, until
the record that replaces it, in one transaction with its critiques. So at no moment is anything lost or there twice.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.crash import crash_point
from rprm_jobs.errors import ConfigError, Conflict
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.records import Job, JobState
from rprm_jobs.store.schema.partitions import partition
from rprm_jobs.store.training import sets


def extend(connection: Connection, job_id: int, k: int) -> Job:
    """Reopen the job for `k` critiques a step; returns it as it is now.

    Raises NotFound; Conflict unless it is finished, or where another job is this one with k critiques already;
    ConfigError unless k is more than it has.
    """
    job = _finished(connection, job_id)
    if job.kind.writes:
        raise Conflict(
            f"job {job_id} wrote solutions and has no critiques to add to", hint="extend the score job that judged them"
        )
    if k <= job.recipe.k:
        raise ConfigError(f"job {job_id} has {job.recipe.k} critiques a step already", hint="choose a larger -k")
    recipe = msgspec.structs.replace(job.recipe, k=k)
    if recipe.until_first_error and sets.using(connection, job_id):
        raise Conflict(
            f"more critiques may move the first errors of job {job_id}, and its training sets would lack steps",
            hint="delete the sets first, and build them again afterwards",
        )
    _rename(connection, job, recipe.digest)
    connection.execute(
        text("UPDATE jobs SET recipe = CAST(:recipe AS jsonb), recipe_digest = :digest WHERE id = :id"),
        {"id": job_id, "recipe": msgspec.json.encode(recipe.to_builtins()).decode(), "digest": recipe.digest},
    )
    connection.execute(_reopen(job_id), {"id": job_id})
    # A plan of fewer critiques says nothing of more: there will be another pilot.
    connection.execute(text("DELETE FROM plans WHERE job_id = :id"), {"id": job_id})
    crash_point("extend.before-commit")
    return jobs.get(connection, job_id)


def _finished(connection: Connection, job_id: int) -> Job:
    jobs.get(connection, job_id)
    connection.execute(text("SELECT 1 FROM jobs WHERE id = :id FOR UPDATE"), {"id": job_id})
    job = jobs.get(connection, job_id)
    state = jobs.progress(connection, job_id).state(job)
    if state is not JobState.DONE:
        hint = (
            "submit its file again"
            if state is JobState.CANCELLED
            else f"wait for it: rprm-jobs status {job_id} --watch"
        )
        raise Conflict(f"job {job_id} is {state.value}, and only a finished one can be extended", hint=hint)
    return job


def _rename(connection: Connection, job: Job, digest: str) -> None:
    """The key by which an equal submission finds the job: it is the one with more critiques from now on."""
    row = connection.execute(text("SELECT dedupe_key, recipe_digest FROM jobs WHERE id = :id"), {"id": job.id}).one()
    if row.dedupe_key is None:
        return
    key = row.dedupe_key.replace(row.recipe_digest, digest)
    same = connection.execute(text("SELECT id FROM jobs WHERE dedupe_key = :key"), {"key": key}).scalar_one_or_none()
    if same is not None:
        raise Conflict(
            f"job {same} has the same solutions with as many critiques already", hint=f"see: rprm-jobs status {same}"
        )
    connection.execute(text("UPDATE jobs SET dedupe_key = :key WHERE id = :id"), {"key": key, "id": job.id})


def _reopen(job_id: int) -> Any:
    # What crashed workers is not tried again: its outcome counts as one of the new extension. One that is ok has a
    # reason only where it stands in for what an earlier extension could not have.
    return text(
        f"""
        WITH next AS (SELECT max(extension) + 1 AS extension FROM shards WHERE job_id = :id),
        kept AS (
          UPDATE {partition("scores", job_id)} AS r SET extension = next.extension FROM next
          WHERE r.status = 'quarantined' OR r.status = 'ok' AND r.reason IS NOT NULL
          RETURNING r.shard_id, (r.status = 'ok')::int AS ok,
                    cardinality(array_remove(r.critiques_per_step, NULL)) AS steps)
        UPDATE shards AS s
        SET state = 'ready', extension = next.extension, failures = 0, rung_at = NULL, finished_at = NULL, error = NULL,
            n_ok = coalesce((SELECT sum(ok) FROM kept WHERE shard_id = s.id), 0), n_failed = 0,
            steps_done = coalesce((SELECT sum(steps) FROM kept WHERE shard_id = s.id), 0)
        FROM next WHERE s.job_id = :id"""
    )
