"""`cancel`, `retry`, `delete` and `audit`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from rprm_jobs.cli.common import JobArgument, JsonOption, connected, print_json, say
from rprm_jobs.errors import AuditFailed, ConfigError


def cancel(job: JobArgument, as_json: JsonOption = False) -> None:
    """Cancel a job; what is judged already stays and can be read."""
    from rprm_jobs.services import control

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
    from rprm_jobs.services import control

    with connected() as context:
        count = control.retry(context, job, quarantined=quarantined)
    if as_json:
        print_json({"job_id": job, "retried": count})
    else:
        say(f"job {job}: {count:,} solutions are judged again" if count else f"job {job} has no failed solution")


def delete(
    job: JobArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete a job with all its results."""
    from rprm_jobs.services import control

    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError(f"deleting job {job} cannot be undone", mend="say --yes if you mean it")
        typer.confirm(f"Delete job {job} with all its results?", abort=True, err=True)
    with connected() as context:
        control.delete(context, job)
    if as_json:
        print_json({"job_id": job, "deleted": True})
    else:
        say(f"job {job} is deleted")


def audit(
    jobs: Annotated[list[int] | None, typer.Argument(metavar="[JOB]...", help="Default: every job.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Count what is missing, doubled or stale; exit 0 only when nothing is."""
    from rprm_jobs.services.audit import audit as audit_jobs

    with connected() as context:
        audits = audit_jobs(context, jobs or None)
    if as_json:
        print_json(
            {
                "clean": not any(one.findings for one in audits),
                "jobs": [
                    {
                        "job_id": one.job_id,
                        "findings": [
                            {"check": f.check, "count": f.count, "examples": list(f.examples)} for f in one.findings
                        ],
                    }
                    for one in audits
                ],
            }
        )
    for one in audits:
        for found in one.findings:
            say(f"job {one.job_id}: {found.check}: {found.count:,}, e.g. {'; '.join(found.examples)}")
    bad = [one.job_id for one in audits if one.findings]
    if bad:
        raise AuditFailed(f"{len(bad)} of {len(audits)} jobs are not clean", mend="see the findings above")
    say(f"{len(audits)} jobs audited: nothing missing, nothing doubled, nothing stale")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (cancel, retry, delete, audit):
        app.command()(command)
