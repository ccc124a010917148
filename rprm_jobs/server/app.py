"""The application: routers, problem documents, and the OpenAPI document. New families of routes are included here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from anyio import to_thread
from fastapi import FastAPI

from rprm_jobs import __version__
from rprm_jobs.server.documents import openapi
from rprm_jobs.server.metrics import MeasureRequests
from rprm_jobs.server.problems import add_problems
from rprm_jobs.server.routes import health, jobs, metrics
from rprm_jobs.server.state import ServiceOptions, ServiceState
from rprm_jobs.services.context import Context

# As many as the pool has connections: a thread more would wait for one, and after half a minute fail.
_THREADS = 12
ROUTERS = (health.router, metrics.router, jobs.router)


def create_app(context: Context, options: ServiceOptions | None = None) -> FastAPI:
    """The service on an open context, which its caller closes."""
    app = FastAPI(
        title="rprm-jobs",
        version=__version__,
        summary="Judge the steps of sampled solutions with a reasoning process reward model.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        lifespan=_lifespan,
    )
    app.state.service = state = ServiceState(context, options or ServiceOptions())
    app.openapi = partial(openapi, app)  # type: ignore[method-assign]
    add_problems(app)
    app.add_middleware(MeasureRequests, metrics=state.metrics)
    for router in ROUTERS:
        app.include_router(router)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:  # noqa: ARG001
    to_thread.current_default_thread_limiter().total_tokens = _THREADS
    yield
