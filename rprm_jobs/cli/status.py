"""`status` and `jobs`: how far a job is, and which jobs there are."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from rprm_jobs.cli.shared.common import JobArgument, JsonOption, connected, print_json

_WATCH_S = 1.0


def status(
    job: JobArgument,
    watch: Annotated[bool, typer.Option("--watch", help="Stay and follow it until it ends.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show how far a job is, how fast it goes, and who serves it."""
    from rprm_jobs.cli.shared.progress import LiveStatus, status_json, status_lines
    from rprm_jobs.services.jobs.query import job_status
    from rprm_jobs.store.records import JobState

    with connected() as context:
        now = job_status(context, job)
        if watch:
            with LiveStatus() as live:
                while now.state in (JobState.QUEUED, JobState.RUNNING):
                    live.show(now)
                    time.sleep(_WATCH_S)
                    now = job_status(context, job)
    if as_json:
        print_json(status_json(now))
    else:
        print("\n".join(status_lines(now)))


def jobs(
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many, the newest first.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List jobs."""
    from rprm_jobs.services.jobs.query import recent_jobs

    with connected() as context:
        found = recent_jobs(context, limit)
    if as_json:
        print_json(
            [
                {
                    "job_id": job.id,
                    "state": counts.state(job).value,
                    "kind": job.kind.value,
                    "judge": job.judge,
                    "k": job.recipe.k,
                    "solutions": job.n_solutions,
                    "done": counts.solutions,
                    "failed": counts.failed + counts.quarantined,
                    "created_at": job.created_at.isoformat(),
                    "sources": list(job.sources),
                }
                for job, counts in found
            ]
        )
        return
    from rprm_jobs.cli.shared.tables import fitting_table, print_table
    from rprm_jobs.judge.hub import brief

    names = ("job", "kind", "state", "model", "k", "done", "failed", "created", "from")
    rows = [
        (
            str(job.id),
            job.kind.value,
            counts.state(job).value,
            brief(job.judge),
            str(job.recipe.k),
            f"{counts.solutions:,}/{job.n_solutions:,}",
            str(counts.failed + counts.quarantined),
            f"{job.created_at:%m-%d %H:%M}",
            ", ".join(job.sources),
        )
        for job, counts in found
    ]
    print_table(fitting_table(names, rows, shrinking=("model", "from")))


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(status)
    app.command()(jobs)
