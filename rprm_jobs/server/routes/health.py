"""`/healthz`: the process lives. `/readyz`: it can serve, that is, Postgres answers and has this version's schema."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from rprm_jobs import __version__
from rprm_jobs.server.state import ContextDependency
from rprm_jobs.services.context import check_database

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, Any]:
    """Whether the process lives. Asks nothing of the servers behind it."""
    return {"status": "ok", "version": __version__}


@router.get("/readyz")
def readyz(context: ContextDependency) -> dict[str, Any]:
    """Whether it can serve; 503 while Postgres does not answer, or has another schema."""
    check_database(context)
    return {"status": "ok"}
