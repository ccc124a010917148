"""`audit`: find what jobs lack, hold twice or hold wrongly, and with --repair put it right."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rprm_jobs.cli.shared.command import ANSWERS, add_command
from rprm_jobs.cli.shared.common import print_json, say
from rprm_jobs.cli.shared.options import JsonOption
from rprm_jobs.errors import AuditFailed
from rprm_jobs.launch.servers import connected
from rprm_jobs.words import counted

if TYPE_CHECKING:
    from rprm_jobs.services.context import Context
    from rprm_jobs.services.upkeep.audit import JobAudit
    from rprm_jobs.store.upkeep.repair import Repaired


def audit(
    jobs: Annotated[
        list[int] | None, typer.Argument(metavar="JOB", help="The jobs' ids.", show_default="every job")
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Drop results that cannot be trusted, and queue again what is missing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check that no job misses a result or has one twice.

    Exit status 0 only when nothing is missing, doubled or stale.
    """
    from rprm_jobs.services.upkeep.audit import audit as audit_jobs

    with connected() as context:
        audits = audit_jobs(context, jobs or None)
        repaired = _repair(context, audits) if repair else {}
        if repaired:
            audits = audit_jobs(context, jobs or None)
    if as_json:
        print_json(_as_json(audits, repaired, asked=repair))
    for job_audit in audits:
        for finding in job_audit.findings:
            say(f"job {job_audit.job_id}: {finding.check}: {finding.count:,}, e.g. {'; '.join(finding.examples)}")
    bad = [job_audit.job_id for job_audit in audits if job_audit.findings]
    if bad:
        hint = (
            "submit their files again: the store has lost what --repair leaves"
            if repair
            else "rprm-jobs audit --repair"
        )
        raise AuditFailed(
            f"{len(bad)} of {counted(len(audits), 'job')} {'is' if len(bad) == 1 else 'are'} not clean", hint=hint
        )
    say(f"{counted(len(audits), 'job')} audited: nothing missing, nothing doubled, nothing stale")


def _repair(context: Context, audits: list[JobAudit]) -> dict[int, Repaired]:
    from rprm_jobs.services.upkeep.audit import repair

    repaired = repair(context, [job_audit.job_id for job_audit in audits if job_audit.findings])
    for job_id, counts in repaired.items():
        say(
            f"job {job_id}: {counted(counts.dropped, 'outcome')} and {counted(counts.orphans, 'orphaned row')} dropped,"
            f" {counted(counts.requeued, 'solution')} queued again"
        )
    return repaired


def _as_json(audits: list[JobAudit], repaired: dict[int, Repaired], *, asked: bool) -> dict[str, Any]:
    result: dict[str, Any] = {
        "clean": not any(job_audit.findings for job_audit in audits),
        "jobs": [
            {
                "job_id": job_audit.job_id,
                "findings": [
                    {"check": f.check, "count": f.count, "examples": list(f.examples)} for f in job_audit.findings
                ],
            }
            for job_audit in audits
        ],
    }
    if asked:
        result["repaired"] = [{"job_id": job_id, **asdict(counts)} for job_id, counts in repaired.items()]
    return result


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, audit, "rprm-jobs audit 7", "rprm-jobs audit --repair", group=ANSWERS)
