"""What a user does to a job after submitting it: cancel, retry, delete."""

from __future__ import annotations

import logging

from rprm_jobs.errors import BrokerError
from rprm_jobs.services.context import Context
from rprm_jobs.services.sweep import ring
from rprm_jobs.store import jobs

_log = logging.getLogger(__name__)
_BELLS = 8


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
        try:
            ring(context.database, context.bell, queue, upto=_BELLS)
        except BrokerError as error:
            _log.warning("no bell was rung (idle workers will find it all the same): %s", error.what)
    return count


def delete(context: Context, job_id: int) -> None:
    """Remove the job with its results. Raises NotFound, and Conflict while it is alive."""
    with context.database.transaction() as connection:
        jobs.delete(connection, job_id)
