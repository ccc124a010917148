"""What a page may change: cancel, retry, extend and delete a job, by plain forms.

A browser sends its password with whatever another site makes it send, so a form must show where it comes from: every
browser says so by itself (Sec-Fetch-Site, or Origin), and the gate refuses other sites. Here a request that says
nothing is refused too: it is no form of a page. Nothing has to be kept for it, so any service may answer any form.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qs

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import RedirectResponse

from rprm_jobs.errors import InputError
from rprm_jobs.judge.recipe import MAX_K
from rprm_jobs.server.pages.render import HEADERS, PageRoute
from rprm_jobs.server.problems import Problem
from rprm_jobs.server.scopes import needs
from rprm_jobs.server.state import ContextDependency
from rprm_jobs.services.access import Scope
from rprm_jobs.services.jobs import control
from rprm_jobs.store.records import MAX_ID


def _from_a_page(request: Request) -> None:
    """Raises Problem (403) where nothing says that the form is one of this service's pages."""
    if "sec-fetch-site" not in request.headers and "origin" not in request.headers:
        detail = "this form does not say which page it comes from; programs use POST /v1/jobs/JOB/cancel and the like"
        raise Problem(403, "foreign-origin", detail)


router = APIRouter(
    prefix="/jobs/{job_id}", route_class=PageRoute, include_in_schema=False, dependencies=[Depends(_from_a_page)]
)
JobId = Annotated[int, Path(ge=1, le=MAX_ID)]


def _to(path: str) -> Response:
    """The page that shows what has come of it; a reload of that sends nothing again."""
    return RedirectResponse(path, 303, HEADERS)


@router.post("/cancel")
@needs(Scope.SUBMIT)
def cancel(context: ContextDependency, job_id: JobId) -> Response:
    """Cancel the job, or its running extension."""
    control.cancel(context, job_id)
    return _to(f"/jobs/{job_id}")


@router.post("/retry")
@needs(Scope.SUBMIT)
def retry(context: ContextDependency, job_id: JobId) -> Response:
    """Judge the failed solutions again."""
    control.retry(context, job_id)
    return _to(f"/jobs/{job_id}")


@router.post("/extend")
@needs(Scope.SUBMIT)
async def extend(request: Request, context: ContextDependency, job_id: JobId) -> Response:
    """Sample on to the `k` of the form."""
    fields = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=10)
    text = fields.get("k", [""])[0]
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MAX_K):
        raise InputError(f"{text[:40]!r} is no number of critiques", hint=f"a number from 1 to {MAX_K}")
    await to_thread.run_sync(control.extend, context, job_id, int(text))
    return _to(f"/jobs/{job_id}")


@router.post("/delete")
@needs(Scope.ADMIN)
def delete(context: ContextDependency, job_id: JobId) -> Response:
    """Remove the job with its results."""
    control.delete(context, job_id)
    return _to("/")
