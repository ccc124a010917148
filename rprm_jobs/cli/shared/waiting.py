"""Staying with a job until it ends: live progress, and a worker of the command's own if no other serves the model."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import typer

from rprm_jobs.cli.shared.common import say
from rprm_jobs.cli.shared.outcome import FailOn, check_outcome
from rprm_jobs.launch.workers import OwnWorker, WorkerChoice

if TYPE_CHECKING:
    from rprm_jobs.services.context import Context
    from rprm_jobs.services.jobs.query import JobStatus

# The first looks follow each other quickly, for a job that is done at once; a long one is looked at less often.
_FIRST_POLL_S, _POLL_S = 0.05, 0.5


def wait_for(context: Context, job_id: int, choice: WorkerChoice | None) -> dict[str, Any]:
    """Show the job's progress until it ends; returns its final counts. Ctrl-C leaves the job as it is.

    Without a `choice` no worker is started, and a job that no worker serves waits until one does.
    """
    own_worker = OwnWorker(context, choice, say)
    try:
        status = _follow(context, job_id, own_worker)
    except KeyboardInterrupt:
        say(f"\njob {job_id} stays. {_what_next(context, job_id, own_worker)}")
        raise typer.Exit(130) from None
    finally:
        own_worker.stop()
    return _summary(status)


def _what_next(context: Context, job_id: int, own_worker: OwnWorker) -> str:
    """What becomes of a job that nobody waits for any more."""
    from rprm_jobs.cli.shared.progress import worker_command
    from rprm_jobs.services.jobs.query import job_status

    status = job_status(context, job_id)
    if any(worker.pid != own_worker.pid for worker in status.workers):
        return f"Its workers go on: rprm-jobs status {job_id} --watch"
    return f"The worker of this command stops; go on with: {worker_command(status.job)}"


def wait_until_done(context: Context, job_id: int, choice: WorkerChoice | None) -> dict[str, Any]:
    """`wait_for` by a command that needs the job's results. Raises JobCancelled."""
    summary = wait_for(context, job_id, choice)
    check_outcome(job_id, summary, FailOn.NONE)
    if summary["failed"] + summary["quarantined"]:
        say(f"  see why: rprm-jobs results {job_id} --failed; try again: rprm-jobs retry {job_id}")
    return summary


def _follow(context: Context, job_id: int, own_worker: OwnWorker) -> JobStatus:
    from rprm_jobs.cli.shared.live import LiveStatus
    from rprm_jobs.cli.shared.progress import worker_command
    from rprm_jobs.services.jobs.query import job_status
    from rprm_jobs.store.records import JobState

    pause = _FIRST_POLL_S
    with LiveStatus(coming=own_worker.starts) as live:
        while True:
            status = job_status(context, job_id)
            live.show(status)
            if status.state in (JobState.DONE, JobState.CANCELLED):
                return status
            own_worker.tend(status, worker_command(status.job))
            time.sleep(pause)
            pause = min(pause * 1.2, _POLL_S)


def _summary(status: JobStatus) -> dict[str, Any]:
    job_id, done = status.job.id, status.progress
    counts = {"ok": done.ok, "failed": done.failed, "quarantined": done.quarantined}
    say(f"job {job_id} is {status.state.value}: {', '.join(f'{count:,} {name}' for name, count in counts.items())}")
    return {"state": status.state.value, **counts}
