"""`/v1/jobs` by rows, `/v1/uploads` for files in pieces, and `/v1/jobs` again for what was uploaded."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Header, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from rprm_jobs.errors import BadLine
from rprm_jobs.server.documents import described, document
from rprm_jobs.server.scopes import Logged, needs
from rprm_jobs.server.state import actor_of, service_state
from rprm_jobs.server.submitting import JobRequest, submit_request
from rprm_jobs.server.uploads import Upload
from rprm_jobs.services.access import Scope
from rprm_jobs.services.jobs.submit import Submission, submit

router = APIRouter(prefix="/v1", tags=["submit"])
UploadId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$", description="The upload's id.")]
KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,200}$",
        description="The same request sent again with the same key finds the job that the first one created.",
    ),
]


class UploadRequest(BaseModel):
    """A file to upload; its name says what it is, such as `rollouts.jsonl.gz`."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=200)]


@dataclass(frozen=True, slots=True)
class Created(Submission):
    """The job, and the first of the rows that were left out (`skip_bad`)."""

    bad_lines: tuple[BadLine, ...] = ()


@router.post("/jobs", status_code=201, responses=described(Created, "The job.", status=201), response_class=Response)
@needs(Scope.SUBMIT)
def create(request: Request, body: JobRequest, idempotency_key: KeyHeader = None) -> Response:
    """Create a job; 200 with the job that is there where an equal one, or one with this key, exists."""
    state, actor = service_state(request), actor_of(request)
    asked = submit_request(state, body, actor, idempotency_key)
    submission = submit(state.context, asked)
    if body.upload is not None:
        state.uploads.forget(body.upload, actor)
    status = 201 if submission.created else 200
    fields = {field.name: getattr(submission, field.name) for field in dataclasses.fields(Submission)}
    created = Created(**fields, bad_lines=asked.refusals.shown if asked.refusals else ())
    return document(created, status=status, headers={"Location": f"/v1/jobs/{submission.job_id}"})


@router.post(
    "/uploads", status_code=201, responses=described(Upload, "The upload.", status=201), response_class=Response
)
@needs(Scope.SUBMIT)
def begin(request: Request, body: UploadRequest) -> Response:
    """Begin an upload."""
    return document(service_state(request).uploads.begin(body.name, actor_of(request)), status=201)


@router.put("/uploads/{upload_id}", responses=described(Upload, "How far it is."), response_class=Response)
@needs(Scope.SUBMIT, Logged.NONE)
async def append(request: Request, upload_id: UploadId, offset: Annotated[int, Query(ge=0, le=2**53)]) -> Response:
    """Add the body at `offset`, which is the size so far; 409 with the right one otherwise."""
    uploads = service_state(request).uploads
    return document(await uploads.append(upload_id, actor_of(request), offset, request.stream()))


@router.get("/uploads/{upload_id}", responses=described(Upload, "How far it is."), response_class=Response)
@needs(Scope.SUBMIT)
def look(request: Request, upload_id: UploadId) -> Response:
    """How far an upload is, to go on after a broken connection."""
    return document(service_state(request).uploads.find(upload_id, actor_of(request)))


@router.delete("/uploads/{upload_id}", status_code=204)
@needs(Scope.SUBMIT)
async def forget(request: Request, upload_id: UploadId) -> Response:
    """Drop an upload."""
    await to_thread.run_sync(service_state(request).uploads.forget, upload_id, actor_of(request))
    return Response(status_code=204)
