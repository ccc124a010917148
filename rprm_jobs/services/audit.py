"""Auditing jobs: nothing missing, nothing doubled, nothing stale."""

from __future__ import annotations

from dataclasses import dataclass

from rprm_jobs.services.context import Context
from rprm_jobs.store import audit as store_audit
from rprm_jobs.store import jobs
from rprm_jobs.store.audit import Finding


@dataclass(frozen=True, slots=True)
class JobAudit:
    """What was found in one job; no findings means that it is clean."""

    job_id: int
    findings: tuple[Finding, ...]


def audit(context: Context, job_ids: list[int] | None = None) -> list[JobAudit]:
    """Audit these jobs, or all. Raises NotFound for an unknown one."""
    with context.database.transaction() as connection:
        ids = job_ids if job_ids is not None else jobs.all_ids(connection)
    return [_audit_one(context, job_id) for job_id in ids]


def _audit_one(context: Context, job_id: int) -> JobAudit:
    # One snapshot for all checks, so that a running job is seen at one moment.
    with context.database.snapshot() as connection:
        recipe = jobs.get(connection, job_id).recipe
        fixed = recipe.policy.get("kind") == "fixed"
        found = store_audit.audit(connection, job_id, k=recipe.k, fixed=fixed, threshold=recipe.threshold)
    return JobAudit(job_id, tuple(found))
