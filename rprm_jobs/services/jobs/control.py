"""What a user does to a job after submitting it: cancel, retry, extend, delete."""

from __future__ import annotations

from rprm_jobs.services.context import Context
from rprm_jobs.services.upkeep.sweep import notify_first
from rprm_jobs.store.jobs import extensions, jobs
from rprm_jobs.store.records import Job


def cancel(context: Context, job_id: int) -> bool:
    """Cancel the job; False when it was cancelled before. Raises NotFound, and Conflict on a finished job."""
    with context.database.transaction() as connection:
        return jobs.cancel(connection, job_id)


def retry(context: Context, job_id: int, *, quarantined: bool = False) -> int:
    """Judge the failed solutions again, with critiques drawn anew; returns how many. Raises NotFound, Conflict."""
    with context.database.transaction() as connection:
        count = jobs.retry_failed(connection, job_id, quarantined=quarantined)
        queue = jobs.get(connection, job_id).queue
    if count:
        notify_first(context, queue)
    return count


def extend(context: Context, job_id: int, k: int) -> Job:
    """Sample more critiques for a finished job, up to `k` a step with those it has; returns the job as it is then.

    Raises NotFound, Conflict, and ConfigError unless k is more than it has.
    """
    with context.database.transaction() as connection:
        job = extensions.extend(connection, job_id, k)
    notify_first(context, job.queue)
    return job


def delete(context: Context, job_id: int) -> None:
    """Remove the job with its results. Raises NotFound, and Conflict while it is alive."""
    with context.database.transaction() as connection:
        jobs.delete(connection, job_id)
