"""The page that shows judges side by side: agreement, F1 where there are labels, and each judge's text of a step."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from rprm_jobs.server.pages.render import PageRoute, page
from rprm_jobs.server.scopes import needs
from rprm_jobs.server.state import ContextDependency
from rprm_jobs.services.access import Scope
from rprm_jobs.services.evaluation.comparing import compare_jobs
from rprm_jobs.services.jobs.query import list_jobs
from rprm_jobs.store.records import MAX_ID

router = APIRouter(route_class=PageRoute, include_in_schema=False)
# A page must come soon, however large the jobs are; the command line compares them whole.
_MOST_SOLUTIONS = 10_000
_LISTED, _SHOWN, _MOST_JOBS = 50, 20, 4
_TEXTS = 4

Chosen = Annotated[list[Annotated[int, Query(ge=1, le=MAX_ID)]], Query(max_length=_MOST_JOBS, default_factory=list)]


@router.get("/compare")
@needs(Scope.READ)
def compare(
    request: Request, context: ContextDependency, job: Chosen, seed: Annotated[int, Query(ge=0, lt=2**31)] = 0
) -> Response:
    """The jobs side by side, the oldest first; of one job or none, a list to choose from."""
    chosen = sorted(set(job))
    if len(chosen) < 2:
        listed = [row for row in list_jobs(context, _LISTED) if not row.job.kind.writes]
        return page(request, "compare", compared=None, listed=listed, chosen=chosen, most_jobs=_MOST_JOBS)
    compared = compare_jobs(context, chosen, shown=_SHOWN, seed=seed, most=_MOST_SOLUTIONS)
    return page(
        request, "compare", compared=compared, document=compared.as_json(), chosen=chosen, seed=seed, texts=_TEXTS,
        jobs=[status.job for status in compared.statuses],
        whole=compared.looked_at >= compared.statuses[0].job.n_solutions,
    )  # fmt: skip
