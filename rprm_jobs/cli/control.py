"""`cancel`, `retry`, `extend` and `delete`: what is done to jobs, one or several."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rprm_jobs.cli.shared.command import JOBS, add_command, needs
from rprm_jobs.cli.shared.common import print_json, say
from rprm_jobs.cli.shared.failing import show_error
from rprm_jobs.cli.shared.options import (
    WORKER,
    EngineArgOption,
    EngineOption,
    JobArgument,
    JobsArgument,
    JsonOption,
    OwnWorkerOption,
    WaitOption,
)
from rprm_jobs.cli.shared.outcome import FailOn, FailOnOption, check_outcome
from rprm_jobs.cli.shared.submitting import NO_WORKER_RULE
from rprm_jobs.errors import ConfigError, RprmError, StoreUnavailable
from rprm_jobs.launch.servers import connected
from rprm_jobs.words import counted

if TYPE_CHECKING:
    from rprm_jobs.services.context import Context


def cancel(jobs: JobsArgument, as_json: JsonOption = False) -> None:
    """Cancel jobs, or their extensions while those run.

    What is judged already stays, and can be read with `rprm-jobs results`.
    """
    from rprm_jobs.services.jobs import control

    def cancel_one(context: Context, job: int) -> dict[str, Any]:
        cancelled = control.cancel(context, job)
        extension = cancelled is control.Cancelled.EXTENSION
        if extension:
            say(f"the extension of job {job} is cancelled; it keeps what was judged")
        elif cancelled is control.Cancelled.BEFORE:
            say(f"job {job} was cancelled before")
        else:
            say(f"job {job} is cancelled")
        return {"cancelled": cancelled is not control.Cancelled.BEFORE, "extension": extension}

    each_job(jobs, cancel_one, as_json=as_json)


def retry(
    jobs: JobsArgument,
    quarantined: Annotated[
        bool, typer.Option("--quarantined", help="Retry also solutions that crashed workers.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Judge the failed solutions of jobs again, with new critiques."""
    from rprm_jobs.services.jobs import control

    def retry_one(context: Context, job: int) -> dict[str, Any]:
        count = control.retry(context, job, quarantined=quarantined)
        again = f"{counted(count, 'solution')} will be judged again"
        say(f"job {job}: {again}" if count else f"job {job} has no failed solution")
        return {"retried": count}

    each_job(jobs, retry_one, as_json=as_json)


def each_job(jobs: Sequence[int], action: Callable[[Context, int], dict[str, Any]], *, as_json: bool) -> None:
    """Do it to every job, also after one for which it cannot be done; errors stand in the order of the jobs.

    Raises the last one, so that its exit status is the command's.

    With `as_json` prints one list: `job_id` and what the action returned of each job for which it could be done.
    """
    done: list[dict[str, Any]] = []
    failed: list[RprmError] = []
    with connected() as context:
        for job in dict.fromkeys(jobs):
            try:
                done.append({"job_id": job, **action(context, job)})
            except StoreUnavailable:
                raise
            except RprmError as error:
                failed.append(error)
    if as_json:
        print_json(done)
    if failed:
        *before, last = failed
        for earlier in before:
            show_error(earlier, as_json=as_json)
        raise last


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
    from rprm_jobs.launch.spare import spare_worker
    from rprm_jobs.services.jobs import control

    with spare_worker(wait and worker) as spare, connected() as context:
        extended = control.extend(context, job, k, judge=judge)
        result: dict[str, Any] = {"job_id": job, "k": k}
        say(f"job {job}: up to {counted(k, 'critique')} for each of {counted(extended.n_steps, 'step')}")
        if wait:
            from rprm_jobs.cli.shared.waiting import wait_for
            from rprm_jobs.launch.workers import WorkerChoice, worker_family

            family, arguments = worker_family(extended), tuple(engine_arg or ())
            named = judge or extended.judge
            choice = WorkerChoice(named, engine, arguments, family=family, spare=spare) if worker else None
            result.update(wait_for(context, job, choice))
    if as_json:
        print_json(result)
    if wait:
        check_outcome(job, result, fail_on)


def delete(
    jobs: JobsArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete jobs with their results."""
    from rprm_jobs.services.jobs import control

    ids = " ".join(map(str, jobs))
    what = f"job {ids} with its results" if len(jobs) == 1 else f"jobs {ids} with their results"
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError(f"deleting {what} cannot be undone", hint=f"rprm-jobs delete {ids} --yes")
        typer.confirm(f"Delete {what}?", abort=True, err=True)

    def delete_one(context: Context, job: int) -> dict[str, Any]:
        control.delete(context, job)
        say(f"job {job} is deleted")
        return {"deleted": True}

    each_job(jobs, delete_one, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_command(app, cancel, "rprm-jobs cancel 7", "rprm-jobs cancel 7 8 9", group=JOBS)
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
    add_command(app, delete, "rprm-jobs delete 7 8 --yes", group=JOBS)
