"""`cancel`, `retry`, `extend` and `delete`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from rprm_jobs.cli.shared.common import (
    EngineArgOption,
    EngineOption,
    JobArgument,
    JsonOption,
    connected,
    print_json,
    say,
)
from rprm_jobs.cli.shared.submitting import WaitOption, WorkerOption, refuse_idle_engine
from rprm_jobs.errors import ConfigError


def cancel(job: JobArgument, as_json: JsonOption = False) -> None:
    """Cancel a job; what is judged already stays and can be read."""
    from rprm_jobs.services.jobs import control

    with connected() as context:
        done = control.cancel(context, job)
    if as_json:
        print_json({"job_id": job, "cancelled": done})
    else:
        say(f"job {job} is cancelled" if done else f"job {job} was cancelled before")


def retry(
    job: JobArgument,
    quarantined: Annotated[bool, typer.Option("--quarantined", help="Also those that crashed workers.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Judge the failed solutions again, with critiques drawn anew."""
    from rprm_jobs.services.jobs import control

    with connected() as context:
        count = control.retry(context, job, quarantined=quarantined)
    if as_json:
        print_json({"job_id": job, "retried": count})
    else:
        say(f"job {job}: {count:,} solutions are judged again" if count else f"job {job} has no failed solution")


def extend(
    job: JobArgument,
    k: Annotated[int, typer.Option("-k", "--critiques", min=1, help="Critiques a step, with those it has.")],
    judge: Annotated[
        str | None, typer.Option("--judge", help="Of --wait: where the judge lies, if in a folder [its name].")
    ] = None,
    wait: WaitOption = False,
    worker: WorkerOption = True,
    engine: EngineOption = "auto",
    engine_arg: EngineArgOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add critiques to a finished job; those that it has are kept and not paid for again."""
    from rprm_jobs.services.jobs import control

    refuse_idle_engine(wait, engine, engine_arg)
    with connected() as context:
        made = control.extend(context, job, k)
        result: dict[str, Any] = {"job_id": job, "k": k}
        say(f"job {job}: up to {k} critiques for each of {made.n_steps:,} steps")
        if wait:
            from rprm_jobs.cli.shared.waiting import wait_for
            from rprm_jobs.launch.workers import WorkerChoice

            choice = WorkerChoice(judge or made.judge, engine, tuple(engine_arg or ())) if worker else None
            result.update(wait_for(context, job, choice))
    if as_json:
        print_json(result)


def delete(
    job: JobArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete a job with all its results."""
    from rprm_jobs.services.jobs import control

    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError(f"deleting job {job} cannot be undone", hint="say --yes if you mean it")
        typer.confirm(f"Delete job {job} with all its results?", abort=True, err=True)
    with connected() as context:
        control.delete(context, job)
    if as_json:
        print_json({"job_id": job, "deleted": True})
    else:
        say(f"job {job} is deleted")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (cancel, retry, extend, delete):
        app.command()(command)
