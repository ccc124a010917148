"""`/v1/jobs`: list the jobs, and look at one."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query, Response

from rprm_jobs.server.documents import described, document
from rprm_jobs.server.state import ContextDependency
from rprm_jobs.services.jobs.query import JobStatus, JobSummary, job_status, list_jobs
from rprm_jobs.store.records import MAX_ID

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

JobId = Annotated[int, Path(ge=1, le=MAX_ID, description="The job's id.")]


class JobPage(msgspec.Struct, frozen=True):
    """Jobs, newest first. `next` is the `before` that continues the list; None at its end."""

    jobs: list[JobSummary]
    next: int | None


@router.get("", responses=described(JobPage, "A page of jobs."), response_class=Response)
def jobs(
    context: ContextDependency,
    limit: Annotated[int, Query(ge=1, le=200, description="Jobs of a page.")] = 20,
    before: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only jobs with a lower id.")] = None,
) -> Response:
    """List the jobs, newest first."""
    page = list_jobs(context, limit, before=before)
    return document(JobPage(page, page[-1].job.id if len(page) == limit else None))


@router.get("/{job_id}", responses=described(JobStatus, "The job now."), response_class=Response)
def job(context: ContextDependency, job_id: JobId) -> Response:
    """State, progress, rates, and the workers that serve the job."""
    return document(job_status(context, job_id))
