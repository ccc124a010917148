"""Auditing jobs (nothing missing, doubled or stale), and repairing what is."""

from __future__ import annotations

from dataclasses import dataclass

from rprm_jobs.services.context import Context
from rprm_jobs.services.upkeep.sweep import notify_first
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.upkeep import audit as store_audit
from rprm_jobs.store.upkeep import repair as store_repair
from rprm_jobs.store.upkeep.audit import Finding
from rprm_jobs.store.upkeep.repair import Repaired


@dataclass(frozen=True, slots=True)
class JobAudit:
    """The findings of one job; none means that it is clean."""

    job_id: int
    findings: tuple[Finding, ...]


def audit(context: Context, job_ids: list[int] | None = None) -> list[JobAudit]:
    """Audit these jobs, or all. Raises NotFound for an unknown one."""
    with context.database.transaction() as connection:
        ids = job_ids if job_ids is not None else jobs.all_ids(connection)
    return [_audit_one(context, job_id) for job_id in ids]


def repair(context: Context, job_ids: list[int]) -> dict[int, Repaired]:
    """Queue again what is missing or cannot be trusted in these jobs.

    A repair that is killed half-way is given again. Raises NotFound; Conflict where critiques would go that a training
    set may hold, or where a set has lost some.
    """
    repaired = {}
    for job_id in job_ids:
        repaired[job_id] = store_repair.repair(context.database, job_id)
        with context.database.transaction() as connection:
            queue = jobs.get(connection, job_id).queue
        notify_first(context, queue)
    return repaired


def _audit_one(context: Context, job_id: int) -> JobAudit:
    # One snapshot for all checks, so that a running job is seen at one moment.
    with context.database.snapshot() as connection:
        findings = store_audit.audit(connection, jobs.get(connection, job_id))
    return JobAudit(job_id, tuple(findings))
