"""`/metrics`: for Prometheus. It names judges, states and routes, and holds no text of users or models."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from rprm_jobs.server.scopes import needs
from rprm_jobs.server.state import service_state
from rprm_jobs.services.access import Scope

router = APIRouter(tags=["health"])


@router.get("/metrics", response_class=Response)
@needs(Scope.READ)
def metrics(request: Request) -> Response:
    """The queue, stored work, workers, and the service's own requests, in Prometheus's text format."""
    return Response(service_state(request).metrics.page(), media_type=CONTENT_TYPE_PLAIN_0_0_4)
