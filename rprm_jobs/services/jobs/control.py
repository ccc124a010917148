"""What a user does to a job after submitting it: cancel, retry, extend, delete.

Retry, extend and the cancellation of an extension go batch by batch, each a transaction of its own: where a command is
killed half-way, the same command given again goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from rprm_jobs.errors import Conflict, NotFound
from rprm_jobs.judge.families.table import spelled
from rprm_jobs.judge.hub import brief
from rprm_jobs.judge.resolve import Judge, resolve_judge
from rprm_jobs.services.context import Context
from rprm_jobs.services.upkeep.sweep import notify_first
from rprm_jobs.store.jobs import extensions, jobs, retries
from rprm_jobs.store.queue import workers
from rprm_jobs.store.records import Job


class Cancelled(StrEnum):
    """What a cancel ended: the job, its running extension, or nothing, since the job was cancelled before."""

    JOB = "job"
    EXTENSION = "extension"
    BEFORE = "before"


def cancel(context: Context, job_id: int) -> Cancelled:
    """Cancel the job, or its extension while one is running. Raises NotFound, and Conflict on a finished job.

    A cancelled extension leaves the job done: solutions that it has judged on keep their further critiques, the others
    what they had.
    """
    if extensions.cancel(context.database, job_id):
        return Cancelled.EXTENSION
    with context.database.transaction() as connection:
        return Cancelled.JOB if jobs.cancel(connection, job_id) else Cancelled.BEFORE


def retry(context: Context, job_id: int, *, quarantined: bool = False) -> int:
    """Judge the failed solutions again, with critiques drawn anew; returns how many. Raises NotFound, Conflict."""
    notify = _notification(context, job_id)
    return retries.retry_failed(context.database, job_id, quarantined=quarantined, queued=notify)


def extend(context: Context, job_id: int, k: int, *, judge: str | None = None) -> Job:
    """Sample more critiques for a finished job, up to `k` a step with those it has; returns the job as it is then.

    `judge` is where the judge is, if it is a folder of another name. Raises NotFound, Conflict, and ConfigError unless
    k is more than it has; nothing is queued when the judge cannot be found.
    """
    check_extend(context, job_id, k, judge=judge)
    return extensions.extend(context.database, job_id, k, queued=_notification(context, job_id))


def _notification(context: Context, job_id: int) -> Callable[[], None]:
    with context.database.transaction() as connection:
        queue = jobs.get(connection, job_id).queue
    return lambda: notify_first(context, queue)


def check_extend(context: Context, job_id: int, k: int, *, judge: str | None = None) -> None:
    """Raise where `extend` would, as far as that can be known before."""
    with context.database.transaction() as connection:
        job = jobs.get(connection, job_id)
        served = bool(workers.alive(connection, job.queue))
        if k != job.recipe.k:
            extensions.check_extendable(connection, job, k)
    if not job.recipe.judge_family.samples:
        name = job.recipe.judge_family.name
        raise Conflict(f"job {job_id} cannot be extended: {name} scores a step once, and every pass gives the same")
    if judge is not None:
        _check_same(job, resolve_judge(judge, _family(job)))
    elif not served:
        _check_found(job)


def _check_found(job: Job) -> None:
    hint = "say where it is with --wait --judge FOLDER, or start a worker that serves it"
    try:
        judge = resolve_judge(job.judge, _family(job))
    except NotFound as error:
        raise NotFound(
            f"the judge of job {job.id}, {brief(job.judge)}, is not here, and no worker serves it", hint=hint
        ) from error
    _check_same(job, judge)


def _family(job: Job) -> str | None:
    return None if job.recipe.family is None else spelled(job.recipe.judge_family)


def _check_same(job: Job, judge: Judge) -> None:
    if judge.fingerprint != job.recipe.fingerprint:
        raise Conflict(
            f"{judge.name} is not the judge of job {job.id}: its weights, tokenizer or chat template differ",
            hint="more critiques must come from the same judge; submit the input again to judge it with another",
        )


def delete(context: Context, job_id: int) -> None:
    """Remove the job with its results. Raises NotFound, and Conflict while it is alive."""
    with context.database.transaction() as connection:
        jobs.delete(connection, job_id)
