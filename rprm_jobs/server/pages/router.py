"""The routes of the pages. Each calls a service and renders what comes back."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from rprm_jobs.judge.recipe import MAX_K
from rprm_jobs.pairs.rules import SetKind
from rprm_jobs.server.pages.charts import curve, histogram
from rprm_jobs.server.pages.render import HEADERS, PageRoute, page
from rprm_jobs.server.scopes import needs, public
from rprm_jobs.server.state import ContextDependency
from rprm_jobs.services.access import Scope
from rprm_jobs.services.jobs import reader
from rprm_jobs.services.jobs.judges import judge_summaries
from rprm_jobs.services.jobs.query import alive_workers, failed_attempts, job_status, list_jobs
from rprm_jobs.services.jobs.reader import Show
from rprm_jobs.services.training import runs, sets
from rprm_jobs.store.records import MAX_ID, JobState

router = APIRouter(route_class=PageRoute, include_in_schema=False)

JobId = Annotated[int, Path(ge=1, le=MAX_ID)]
Ord = Annotated[int, Path(ge=0, le=2**31 - 1)]
_JOBS, _ATTEMPTS, _MAX_SEARCH = 25, 50, 200
_STATIC = {"style.css": "text/css", "pages.js": "text/javascript", "icon.svg": "image/svg+xml"}


@router.get("/")
@needs(Scope.READ)
def jobs(
    request: Request, context: ContextDependency, before: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None
) -> Response:
    """The jobs, newest first, with live progress."""
    listed = list_jobs(context, _JOBS, before=before)
    live = before is None and any(row.state in (JobState.QUEUED, JobState.RUNNING) for row in listed)
    return page(
        request,
        "jobs",
        jobs=listed,
        before=before,
        older=listed[-1].job.id if len(listed) == _JOBS else None,
        workers=alive_workers(context),
        live=live,
    )


@router.get("/jobs/{job_id}")
@needs(Scope.READ)
def job(request: Request, context: ContextDependency, job_id: JobId) -> Response:
    """One job: progress, throughput, failures by reason, attempts, workers, and what it cost."""
    status = job_status(context, job_id)
    attempts = failed_attempts(context, job_id)
    overview = None if status.job.kind.writes else reader.overview(context, status.job)
    return page(
        request,
        "job",
        status=status,
        job=status.job,
        progress=status.outcomes,
        reasons=reader.failure_reasons(context, job_id),
        attempts=attempts[: -_ATTEMPTS - 1 : -1],
        n_attempts=len(attempts),
        live=status.state in (JobState.QUEUED, JobState.RUNNING),
        most_k=MAX_K,
        overview=overview,
        bars=histogram(overview.bins) if overview else (),
    )


@router.get("/jobs/{job_id}/solutions")
@needs(Scope.READ)
def solutions(
    request: Request,
    context: ContextDependency,
    job_id: JobId,
    show: Show = Show.ALL,
    q: Annotated[str, Query(max_length=_MAX_SEARCH)] = "",
    after: Annotated[int, Query(ge=-1, le=2**31 - 1)] = -1,
) -> Response:
    """The reader: solutions in the order of judging, filtered and searched."""
    search = q.replace("\x00", "").strip()
    shown, listing = reader.read_page(context, job_id, show=show, search=search, after=after)
    return page(
        request, "solutions", job=shown, listing=listing, show=show, shows=list(Show), search=search, after=after
    )


@router.get("/jobs/{job_id}/solutions/{ord_}")
@needs(Scope.READ)
def solution(request: Request, context: ContextDependency, job_id: JobId, ord_: Ord) -> Response:
    """One solution with its steps, rewards and critiques."""
    return page(request, "solution", read=reader.read_solution(context, job_id, ord_))


@router.get("/judges")
@needs(Scope.READ)
def judges(request: Request, context: ContextDependency) -> Response:
    """The judges of this store and who serves them."""
    return page(request, "judges", judges=judge_summaries(context), workers=alive_workers(context))


@router.get("/training")
@needs(Scope.READ)
def training(request: Request, context: ContextDependency) -> Response:
    """Training sets and runs."""
    listed = [training_set for kind in SetKind for training_set in sets.list_sets(context, kind)]
    return page(request, "training", sets=listed, runs=runs.list_runs(context))


@router.get("/training/runs/{run_id}")
@needs(Scope.READ)
def run(request: Request, context: ContextDependency, run_id: JobId) -> Response:
    """One run with its curves."""
    trained, logged = runs.get_run(context, run_id)
    curves = [curve(logged, name) for name in ("loss", "rewards/accuracies")]
    live = trained.state.value == "running"
    return page(request, "run", run=trained, curves=[each for each in curves if each is not None], live=live)


@router.get("/training/sets/{kind}/{name}")
@needs(Scope.READ)
def training_set(request: Request, context: ContextDependency, kind: SetKind, name: str) -> Response:
    """One training set: its rules, counts and jobs."""
    return page(request, "set", set=sets.get_set(context, name, kind))


@router.get("/static/{name}")
@public
def static(name: str) -> Response:
    """The style sheet, the script and the icon."""
    if name not in _STATIC:
        return Response(status_code=404)
    content = files("rprm_jobs.server.pages").joinpath("static", name).read_bytes()
    headers = {**HEADERS, "Cache-Control": "public, max-age=3600"}
    return Response(content, 200, headers, _STATIC[name])
