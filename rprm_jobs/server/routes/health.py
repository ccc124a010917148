"""`/healthz`: the process lives. `/readyz`: it can serve, that is, Postgres answers and has this version's schema.

`/v1/openapi.json` describes every route.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from rprm_jobs import __version__
from rprm_jobs.server.scopes import needs, public
from rprm_jobs.server.state import ContextDependency
from rprm_jobs.services.access import Scope
from rprm_jobs.services.context import check_database

router = APIRouter(tags=["health"])


@router.get("/healthz")
@public
async def healthz() -> dict[str, Any]:
    """Whether the process lives. Asks nothing of the servers behind it."""
    return {"status": "ok", "version": __version__}


@router.get("/readyz")
@public
def readyz(context: ContextDependency) -> dict[str, Any]:
    """Whether it can serve; 503 while Postgres does not answer, or has another schema."""
    check_database(context)
    return {"status": "ok"}


@router.get("/v1/openapi.json", include_in_schema=False)
@needs(Scope.READ)
async def openapi(request: Request) -> dict[str, Any]:
    """The OpenAPI document."""
    document: dict[str, Any] = request.app.openapi()
    return document
