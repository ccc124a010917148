"""Extending a finished job: its solutions are judged on, with more critiques a step, beginning with those they have.

The job's shards become ready in a new `extension` (K generation), batch by batch; so does a cancel take them back. An
outcome of an earlier one stands, and is read by everybody, until the record that replaces it, in one transaction with
its critiques. A cancelled extension leaves the job done: what was judged on keeps its critiques, the rest what it had.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.crash import crash_point
from rprm_jobs.errors import ConfigError, Conflict
from rprm_jobs.store.jobs import batches, extension_state, jobs
from rprm_jobs.store.queue.standing import CRASHED
from rprm_jobs.store.records import Counts, Extension, Job, JobState
from rprm_jobs.store.schema.partitions import partition
from rprm_jobs.store.session import Database
from rprm_jobs.store.training import sets
from rprm_jobs.words import counted

_REOPEN = text(
    "UPDATE shards SET state = 'ready', extension = :generation, failures = 0, rung_at = NULL, finished_at = NULL,"
    " error = NULL, n_ok = 0, n_failed = 0, n_quarantined = 0, steps_done = 0 WHERE id = ANY(:ids)"
)


def extend(database: Database, job_id: int, k: int, *, queued: Callable[[], object] = lambda: None) -> Job:
    """Reopen the job for `k` critiques a step; returns it as it is now. `queued` is called once work is in the queue.

    An extension to this k that was interrupted before all shards were reopened goes on. Raises NotFound; Conflict
    unless the job is finished, or where another job is this one with k critiques already; ConfigError unless k is more
    than it has.
    """
    with database.transaction() as connection:
        job = _begin(connection, job_id, k)
    reopened = 0
    while _in_transaction(database, _reopen_batch, job_id):
        reopened += 1
        if reopened == 1:
            queued()
    return job


def cancel(database: Database, job_id: int) -> bool:
    """Take back a running extension; False when the job has none.

    Nothing more is recorded once the first transaction commits. Raises NotFound.
    """
    cancelled = _in_transaction(database, _cancel, job_id)
    if cancelled:
        finish_cancelled(database, job_id)
    return cancelled


def finish_cancelled(database: Database, job_id: int) -> None:
    """Let the earlier outcomes stand where an extension was cancelled; for other jobs nothing happens."""
    with database.transaction() as connection:
        jobs.lock(connection, job_id)
        being_cancelled = extension_state.is_being_cancelled(extension_state.settle(connection, job_id))
    while being_cancelled and _in_transaction(database, _keep_batch, job_id):
        pass


def _in_transaction(database: Database, action: Callable[[Connection, int], bool], job_id: int) -> bool:
    with database.transaction() as connection:
        return action(connection, job_id)


def _begin(connection: Connection, job_id: int, k: int) -> Job:
    jobs.lock(connection, job_id)
    job = extension_state.settle(connection, job_id)
    if _is_interrupted(connection, job, k):
        return job
    check_extendable(connection, job, k)
    recipe = msgspec.structs.replace(job.recipe, k=k)
    if recipe.until_first_error and sets.using(connection, job_id):
        raise Conflict(
            f"more critiques may move the first errors of job {job_id}, and its training sets would lack steps",
            hint="delete the sets first, and build them again afterwards",
        )
    key = extension_state.dedupe_key(connection, job, recipe.digest)
    same = connection.execute(text("SELECT id FROM jobs WHERE dedupe_key = :key"), {"key": key}).scalar_one_or_none()
    if same is not None:
        raise Conflict(
            f"job {same} has the same solutions with as many critiques already", hint=f"see: rprm-jobs status {same}"
        )
    extension_state.store(connection, job, k, key, _new_extension(connection, job, k))
    crash_point("extend.before-commit")
    return jobs.get(connection, job_id)


def check_extendable(connection: Connection, job: Job, k: int) -> None:
    """Raises Conflict or ConfigError where `extend` would refuse the job as it is."""
    state = jobs.progress(connection, job.id).state(job)
    if state is not JobState.DONE:
        hint = (
            "submit its file again"
            if state is JobState.CANCELLED
            else f"wait for it: rprm-jobs status {job.id} --watch"
        )
        raise Conflict(f"job {job.id} is {state.value}, and only a finished one can be extended", hint=hint)
    if job.kind.writes:
        raise Conflict(
            f"job {job.id} wrote solutions and has no critiques to add to", hint="extend the score job that judged them"
        )
    if k <= job.recipe.k:
        raise ConfigError(
            f"job {job.id} has {counted(job.recipe.k, 'critique')} a step already", hint="choose a larger -k"
        )


def _is_interrupted(connection: Connection, job: Job, k: int) -> bool:
    progress = jobs.progress(connection, job.id)
    if job.cancelled_at is not None or progress.extension(job) is None or not progress.waiting:
        return False
    if extension_state.is_being_cancelled(job):
        raise Conflict(
            f"the cancellation of an extension of job {job.id} was interrupted",
            hint=f"finish it first: rprm-jobs cancel {job.id}",
        )
    return k == job.recipe.k


def _new_extension(connection: Connection, job: Job, k: int) -> Extension:
    now = jobs.progress(connection, job.id)
    query = text("SELECT max(extension) + 1 FROM shards WHERE job_id = :job")
    return Extension(
        generation=connection.execute(query, {"job": job.id}).scalar_one(),
        previous_k=job.recipe.k,
        most_k=max(k, job.recipe.k if job.extension is None else job.extension.most_k),
        running=True,
        begun_at=now.now,
        had=Counts(now.ok, now.failed, now.quarantined, now.steps, now.critiques, now.tokens),
    )


def _reopen_batch(connection: Connection, job_id: int) -> bool:
    """Queue the next shards of a running extension; False when all are queued, or it was cancelled."""
    jobs.lock(connection, job_id)
    job = jobs.get(connection, job_id)
    extension = job.extension
    if extension is None or not extension.running or extension_state.is_being_cancelled(job):
        return False
    values = {"generation": extension.generation}
    batch = batches.next_batch(connection, job_id, -1, "extension < :generation", **values)
    if batch is None:
        return False
    connection.execute(_REOPEN, {"ids": batch.ids, **values})
    # What crashed workers is not tried again: its outcome counts as one of the new extension.
    keep = f"(status = 'quarantined' OR status = 'ok' AND starts_with(reason, '{CRASHED}'))"
    extension_state.count_as_current(connection, job_id, batch, extension.generation, keep)
    crash_point("extend.between-batches")
    return True


def _cancel(connection: Connection, job_id: int) -> bool:
    """Take a running extension's shards out of the queue; False when the job has no running extension."""
    if jobs.lock(connection, job_id) is not None:
        return False
    job = extension_state.settle(connection, job_id)
    if job.extension is None or not job.extension.running:
        return False
    jobs.end_live_shards(connection, job_id)
    _take_back(connection, job, job.extension)
    crash_point("cancel.before-commit")
    return True


def _keep_batch(connection: Connection, job_id: int) -> bool:
    """Finish the next shards of a cancelled extension; False after the last.

    A shard with a solution that has no outcome at all (a repair dropped it) stays in the queue.
    """
    jobs.lock(connection, job_id)
    job = jobs.get(connection, job_id)
    if job.extension is None or not job.extension.running:
        return False
    generation = job.extension.generation
    where = "state = 'cancelled' OR state = 'done' AND extension < :generation"
    batch = batches.next_batch(connection, job_id, -1, where, generation=generation)
    if batch is None:
        extension_state.end(connection, job_id)
        return False
    connection.execute(
        text(
            "UPDATE shards SET n_ok = 0, n_failed = 0, n_quarantined = 0, steps_done = 0"
            " WHERE id = ANY(:ids) AND extension < :generation"
        ),
        {"ids": batch.ids, "generation": generation},
    )
    extension_state.count_as_current(connection, job_id, batch, generation, "TRUE")
    lacking = list(batch.holders(_without_outcome(connection, job_id, batch)))
    connection.execute(
        text(
            "UPDATE shards SET state = CASE WHEN id = ANY(:lacking) THEN 'ready' ELSE 'done' END,"
            " extension = :generation, failures = 0, error = NULL,"
            " finished_at = CASE WHEN id = ANY(:lacking) THEN NULL ELSE now() END WHERE id = ANY(:ids)"
        ),
        {"ids": batch.ids, "lacking": lacking, "generation": generation},
    )
    crash_point("cancel.between-batches")
    return True


def _without_outcome(connection: Connection, job_id: int, batch: batches.Batch) -> list[int]:
    query = text(
        f"SELECT ord FROM {partition('solutions', job_id)} AS s WHERE ord BETWEEN :first AND :last AND NOT EXISTS"
        f" (SELECT 1 FROM {partition('scores', job_id)} AS r WHERE r.ord = s.ord AND r.ord BETWEEN :first AND :last)"
        " ORDER BY ord"
    )
    return list(connection.execute(query, batch.range).scalars())


def _take_back(connection: Connection, job: Job, extension: Extension) -> None:
    """Give the job the K that it had. The extension runs until all its shards are finished."""
    digest = msgspec.structs.replace(job.recipe, k=extension.previous_k).digest
    key = extension_state.dedupe_key(connection, job, digest)
    taken = connection.execute(
        text("SELECT 1 FROM jobs WHERE dedupe_key = :key AND id <> :id"), {"key": key, "id": job.id}
    ).one_or_none()
    # An equal submission of the earlier K may have made a job meanwhile, which answers for it from then on.
    key = key if taken is None else None
    extension_state.store(connection, job, extension.previous_k, key, extension)
