"""`/v1/jobs`: list the jobs, look at one, and steer it: cancel, retry, extend, delete."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Header, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from rprm_jobs.judge.recipe import MAX_K
from rprm_jobs.server.documents import described, document
from rprm_jobs.server.etags import etag_of, matches
from rprm_jobs.server.scopes import needs
from rprm_jobs.server.state import ContextDependency
from rprm_jobs.services.access import Scope
from rprm_jobs.services.jobs import control
from rprm_jobs.services.jobs.query import JobStatus, JobSummary, failed_attempts, job_status, list_jobs
from rprm_jobs.store.records import MAX_ID, FailedAttempt

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

JobId = Annotated[int, Path(ge=1, le=MAX_ID, description="The job's id.")]


class JobPage(msgspec.Struct, frozen=True):
    """Jobs, newest first. `next` is the `before` that continues the list; None at its end."""

    jobs: list[JobSummary]
    next: int | None


class Attempts(msgspec.Struct, frozen=True):
    """The attempts at a job's shards that failed, oldest first."""

    attempts: list[FailedAttempt]


class Cancelled(msgspec.Struct, frozen=True):
    """What the cancel ended: `job`, its `extension`, or nothing, since it was cancelled `before`."""

    cancelled: str


class Retried(msgspec.Struct, frozen=True):
    """How many solutions are judged again."""

    retried: int


class ExtendRequest(BaseModel):
    """`k` critiques a step, with those that the job has."""

    model_config = ConfigDict(extra="forbid")

    k: Annotated[int, Field(ge=1, le=MAX_K)]


@router.get("", responses=described(JobPage, "A page of jobs."), response_class=Response)
@needs(Scope.READ)
def jobs(
    context: ContextDependency,
    limit: Annotated[int, Query(ge=1, le=200, description="Jobs of a page.")] = 20,
    before: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only jobs with a lower id.")] = None,
) -> Response:
    """List the jobs, newest first."""
    page = list_jobs(context, limit, before=before)
    return document(JobPage(page, page[-1].job.id if len(page) == limit else None))


@router.get("/{job_id}", responses=described(JobStatus, "The job now."), response_class=Response)
@needs(Scope.READ)
def job(
    context: ContextDependency,
    job_id: JobId,
    if_none_match: Annotated[str | None, Header(description="The ETag of an earlier answer.")] = None,
) -> Response:
    """State, progress, rates, and the workers that serve the job; 304 where nothing but the time has changed."""
    status = job_status(context, job_id)
    headers = {"ETag": etag_of(status), "Cache-Control": "no-cache"}
    if matches(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return document(status, headers=headers)


@router.get("/{job_id}/attempts", responses=described(Attempts, "Its failed attempts."), response_class=Response)
@needs(Scope.READ)
def attempts(context: ContextDependency, job_id: JobId) -> Response:
    """Who failed when, why, and what became of the shard."""
    return document(Attempts(failed_attempts(context, job_id)))


@router.post("/{job_id}/cancel", responses=described(Cancelled, "What was cancelled."), response_class=Response)
@needs(Scope.SUBMIT)
def cancel(context: ContextDependency, job_id: JobId) -> Response:
    """Cancel the job, or its running extension; what was judged stays."""
    return document(Cancelled(control.cancel(context, job_id).value))


@router.post("/{job_id}/retry", responses=described(Retried, "What is judged again."), response_class=Response)
@needs(Scope.SUBMIT)
def retry(
    context: ContextDependency,
    job_id: JobId,
    quarantined: Annotated[bool, Query(description="Also those that crashed workers.")] = False,
) -> Response:
    """Judge the failed solutions again, with critiques sampled anew."""
    return document(Retried(control.retry(context, job_id, quarantined=quarantined)))


@router.post("/{job_id}/extend", responses=described(JobStatus, "The job now."), response_class=Response)
@needs(Scope.SUBMIT)
def extend(context: ContextDependency, job_id: JobId, body: ExtendRequest) -> Response:
    """Sample on to `k` critiques a step."""
    control.extend(context, job_id, body.k)
    return document(job_status(context, job_id))


@router.delete("/{job_id}", status_code=204)
@needs(Scope.ADMIN)
def delete(context: ContextDependency, job_id: JobId) -> Response:
    """Remove the job with its results."""
    control.delete(context, job_id)
    return Response(status_code=204)
