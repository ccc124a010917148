"""`status` and `jobs`: show how far a job is, and list the jobs."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rprm_jobs.cli.shared.command import JOBS, add_command
from rprm_jobs.cli.shared.common import print_json, say
from rprm_jobs.cli.shared.options import JobArgument, JsonOption
from rprm_jobs.launch.servers import connected
from rprm_jobs.types import JobKind

if TYPE_CHECKING:
    from rprm_jobs.services.jobs.query import JobStatus
    from rprm_jobs.store.records import FailedAttempt, Job

# A heading of its help.
WHICH = "Which jobs"
_WATCH_S = 1.0
_SHOWN_ATTEMPTS = 50


class ListedState(StrEnum):
    """The states of jobs, as rprm_jobs.store.records.JobState, which takes long to import."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


def status(
    job: JobArgument,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the job until it ends.")] = False,
    attempts: Annotated[bool, typer.Option("--attempts", help="List the failed attempts with their errors.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show how far a job is, how fast it goes, and who serves it."""
    from rprm_jobs.cli.shared.live import LiveStatus
    from rprm_jobs.cli.shared.progress import status_json, status_lines
    from rprm_jobs.services.jobs.query import failed_attempts, job_status
    from rprm_jobs.store.records import JobState

    with connected() as context:
        now = job_status(context, job)
        if watch:
            with LiveStatus(lines=True) as live:
                while now.state in (JobState.QUEUED, JobState.RUNNING):
                    live.show(now)
                    time.sleep(_WATCH_S)
                    now = job_status(context, job)
        failed = failed_attempts(context, job) if attempts else []
    if as_json:
        more = {"attempts": [_attempt_json(attempt) for attempt in failed]} if attempts else {}
        print_json({**status_json(now), **more})
        return
    _print_status(status_lines(now), now)
    if attempts:
        _show_attempts(failed)


def _print_status(lines: list[str], status: JobStatus) -> None:
    if not sys.stdout.isatty():
        print("\n".join(lines))
        return
    from rich.console import Console

    from rprm_jobs.cli.shared.live import coloured

    # Lines are not wrapped: a command that starts a worker must stay whole.
    Console(highlight=False, markup=False).print(coloured(lines, status), soft_wrap=True)


def _attempt_json(attempt: FailedAttempt) -> dict[str, Any]:
    times = {"claimed_at": attempt.claimed_at, "failed_at": attempt.failed_at}
    return {**asdict(attempt), **{name: at and at.isoformat() for name, at in times.items()}}


def _show_attempts(failed: list[FailedAttempt]) -> None:
    from rprm_jobs.cli.shared.tables import Table, print_table

    if not failed:
        print("no attempt failed")
        return
    names = ("failed at", "solutions", "attempt", "then", "worker", "reason")
    table = Table(names, left=("failed at", "then"), below=("worker", "reason"))
    for attempt in failed[-_SHOWN_ATTEMPTS:]:
        table.add_row(
            f"{attempt.failed_at:%Y-%m-%d %H:%M:%SZ}",
            f"{attempt.first_ord}-{attempt.last_ord}",
            str(attempt.attempt),
            attempt.outcome,
            attempt.worker,
            attempt.reason.split("\n")[0],
        )
    print_table(table)
    if len(failed) > _SHOWN_ATTEMPTS:
        say(f"the newest {_SHOWN_ATTEMPTS} of {len(failed):,}; --json has all")


def jobs(
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="Number of jobs to list.")] = 20,
    states: Annotated[
        list[ListedState] | None,
        typer.Option(
            "--state",
            metavar="STATE",
            help="Only jobs that are queued, running, done or cancelled; repeatable.",
            rich_help_panel=WHICH,
        ),
    ] = None,
    kinds: Annotated[
        list[JobKind] | None,
        typer.Option(
            "--kind",
            metavar="KIND",
            help="Only score, sample, rollout or search jobs; repeatable.",
            rich_help_panel=WHICH,
        ),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            "--judge", metavar="TEXT", help="Only jobs whose judge has this in its name.", rich_help_panel=WHICH
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="TEXT", help="Only jobs that have this in their name.", rich_help_panel=WHICH),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the jobs, newest first."""
    from rprm_jobs.services.jobs.query import recent_jobs
    from rprm_jobs.store.jobs.jobs import JobFilter
    from rprm_jobs.store.records import JobState

    wanted = JobFilter(tuple(JobState(state) for state in states or ()), tuple(kinds or ()), judge, name)
    with connected() as context:
        listed = recent_jobs(context, limit, wanted)
    if as_json:
        print_json(
            [
                {
                    "job_id": job.id,
                    "state": counts.state(job).value,
                    "kind": job.kind.value,
                    "name": job.name,
                    "judge": job.judge,
                    "judge_digest": job.recipe.fingerprint,
                    "judge_path": job.model_paths.get("judge"),
                    "k": job.recipe.k,
                    "solutions": job.n_solutions,
                    "done": counts.solutions,
                    "failed": counts.failed + counts.quarantined,
                    "created_at": job.created_at.isoformat(),
                    "sources": list(job.sources),
                    "reading": job.reading,
                }
                for job, counts in listed
            ]
        )
        return
    from rprm_jobs.cli.shared.tables import Table, print_table
    from rprm_jobs.judge.places import unique_name

    names = ("job", "kind", "state", "k", "done", "failed", "created", "name", "model", "from")
    table = Table(names, left=("kind", "state", "created"), below=("name", "model", "from"))
    for job, counts in listed:
        table.add_row(
            str(job.id),
            job.kind.value,
            counts.state(job).value,
            str(job.recipe.k),
            f"{counts.solutions:,}/{job.n_solutions:,}",
            str(counts.failed + counts.quarantined),
            f"{job.created_at:%Y-%m-%d %H:%MZ}",
            job.name or "",
            unique_name(job.judge, job.recipe.fingerprint, job.model_paths, _judging_role(job)),
            ", ".join(job.sources),
        )
    print_table(table)


def _judging_role(job: Job) -> str:
    # Of plain rollouts, which nobody judges, the policy stands where the judge does.
    return "policy" if job.kind is JobKind.ROLLOUT else "judge"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_command(app, status, "rprm-jobs status 7 --watch", group=JOBS)
    add_command(app, jobs, "rprm-jobs jobs --limit 50", "rprm-jobs jobs --state running --judge tiny", group=JOBS)
