"""`cancel`, `retry`, `extend` and `delete`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from rprm_jobs.cli.shared.command import JOBS, add_command, needs
from rprm_jobs.cli.shared.common import print_json, say
from rprm_jobs.cli.shared.options import (
    WORKER,
    EngineArgOption,
    EngineOption,
    JobArgument,
    JsonOption,
    OwnWorkerOption,
    WaitOption,
)
from rprm_jobs.cli.shared.outcome import FailOn, FailOnOption, check_outcome
from rprm_jobs.cli.shared.submitting import NO_WORKER_RULE
from rprm_jobs.errors import ConfigError
from rprm_jobs.launch.servers import connected


def cancel(job: JobArgument, as_json: JsonOption = False) -> None:
    """Cancel a job, or its extension while one runs.

    What is judged already stays, and can be read with `rprm-jobs results`.
    """
    from rprm_jobs.services.jobs import control

    with connected() as context:
        cancelled = control.cancel(context, job)
    extension = cancelled is control.Cancelled.EXTENSION
    if as_json:
        print_json({"job_id": job, "cancelled": cancelled is not control.Cancelled.BEFORE, "extension": extension})
    elif extension:
        say(f"the extension of job {job} is cancelled; the job is done, with what it had and what was judged on since")
    else:
        say(f"job {job} was cancelled before" if cancelled is control.Cancelled.BEFORE else f"job {job} is cancelled")


def retry(
    job: JobArgument,
    quarantined: Annotated[
        bool, typer.Option("--quarantined", help="Retry also solutions that crashed workers.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Judge the failed solutions of a job again, with new critiques."""
    from rprm_jobs.services.jobs import control

    with connected() as context:
        count = control.retry(context, job, quarantined=quarantined)
    if as_json:
        print_json({"job_id": job, "retried": count})
    else:
        say(f"job {job}: {count:,} solutions will be judged again" if count else f"job {job} has no failed solution")


def extend(
    job: JobArgument,
    k: Annotated[int, typer.Option("-k", "--critiques", metavar="K", min=1, help="Critiques of each step in all.")],
    judge: Annotated[
        str | None,
        typer.Option(
            "--judge",
            metavar="FOLDER",
            help="The judge's folder, if it is not found by its name.",
            show_default="its name",
            rich_help_panel=WORKER,
        ),
    ] = None,
    wait: WaitOption = False,
    fail_on: FailOnOption = FailOn.ANY,
    worker: OwnWorkerOption = True,
    engine: EngineOption = "auto",
    engine_arg: EngineArgOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add critiques to a finished job.

    The critiques that it has are kept and count.
    """
    from rprm_jobs.services.jobs import control

    with connected() as context:
        extended = control.extend(context, job, k, judge=judge)
        result: dict[str, Any] = {"job_id": job, "k": k}
        say(f"job {job}: up to {k} critiques for each of {extended.n_steps:,} steps")
        if wait:
            from rprm_jobs.cli.shared.waiting import wait_for
            from rprm_jobs.launch.workers import WorkerChoice, worker_family

            family, arguments = worker_family(extended), tuple(engine_arg or ())
            choice = WorkerChoice(judge or extended.judge, engine, arguments, family=family) if worker else None
            result.update(wait_for(context, job, choice))
    if as_json:
        print_json(result)
    if wait:
        check_outcome(job, result, fail_on)


def delete(
    job: JobArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete a job with its results."""
    from rprm_jobs.services.jobs import control

    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError(f"deleting job {job} cannot be undone", hint=f"rprm-jobs delete {job} --yes")
        typer.confirm(f"Delete job {job} with its results?", abort=True, err=True)
    with connected() as context:
        control.delete(context, job)
    if as_json:
        print_json({"job_id": job, "deleted": True})
    else:
        say(f"job {job} is deleted")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_command(app, cancel, "rprm-jobs cancel 7", group=JOBS)
    add_command(app, retry, "rprm-jobs retry 7", group=JOBS)
    add_command(
        app,
        extend,
        "rprm-jobs extend 7 -k 16 --wait",
        group=JOBS,
        rules=(
            needs("wait", "judge", "fail_on", "worker", "engine", "engine_arg"),
            NO_WORKER_RULE,
        ),
    )
    add_command(app, delete, "rprm-jobs delete 7 --yes", group=JOBS)
