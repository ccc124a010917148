"""`audit`: what jobs lack, hold twice or hold wrongly, and with --repair the way back."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rprm_jobs.cli.shared.common import JsonOption, connected, print_json, say
from rprm_jobs.errors import AuditFailed

if TYPE_CHECKING:
    from rprm_jobs.services.context import Context
    from rprm_jobs.services.upkeep.audit import JobAudit
    from rprm_jobs.store.upkeep.repair import Repaired


def audit(
    jobs: Annotated[list[int] | None, typer.Argument(metavar="[JOB]...", help="Default: every job.")] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Drop outcomes that cannot be trusted, queue again what is missing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Count what is missing, doubled or stale; exit 0 only when nothing is."""
    from rprm_jobs.services.upkeep.audit import audit as audit_jobs

    with connected() as context:
        audits = audit_jobs(context, jobs or None)
        repaired = _repair(context, audits) if repair else {}
        if repaired:
            audits = audit_jobs(context, jobs or None)
    if as_json:
        print_json(_as_json(audits, repaired, asked=repair))
    for one in audits:
        for found in one.findings:
            say(f"job {one.job_id}: {found.check}: {found.count:,}, e.g. {'; '.join(found.examples)}")
    bad = [one.job_id for one in audits if one.findings]
    if bad:
        hint = "what --repair leaves is not in the store: submit it again" if repair else "mend it: add --repair"
        raise AuditFailed(f"{len(bad)} of {len(audits)} jobs are not clean", hint=hint)
    say(f"{len(audits)} jobs audited: nothing missing, nothing doubled, nothing stale")


def _repair(context: Context, audits: list[JobAudit]) -> dict[int, Repaired]:
    from rprm_jobs.services.upkeep.audit import repair

    done = repair(context, [one.job_id for one in audits if one.findings])
    for job_id, one in done.items():
        say(
            f"job {job_id}: {one.dropped:,} outcomes and {one.orphans:,} orphaned rows dropped,"
            f" {one.requeued:,} solutions queued again"
        )
    return done


def _as_json(audits: list[JobAudit], repaired: dict[int, Repaired], *, asked: bool) -> dict[str, Any]:
    result: dict[str, Any] = {
        "clean": not any(one.findings for one in audits),
        "jobs": [
            {
                "job_id": one.job_id,
                "findings": [{"check": f.check, "count": f.count, "examples": list(f.examples)} for f in one.findings],
            }
            for one in audits
        ],
    }
    if asked:
        result["repaired"] = [{"job_id": job_id, **asdict(one)} for job_id, one in repaired.items()]
    return result


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(audit)
