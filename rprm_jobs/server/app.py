"""The application: routers, problem documents, and the OpenAPI document. New families of routes are included here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from anyio import to_thread
from fastapi import FastAPI

from rprm_jobs import __version__
from rprm_jobs.server.access import AccessGate
from rprm_jobs.server.documents import openapi
from rprm_jobs.server.judges import JudgeBook
from rprm_jobs.server.limits import BodyLimit
from rprm_jobs.server.metrics import MeasureRequests
from rprm_jobs.server.pages import actions, comparison
from rprm_jobs.server.pages import router as pages
from rprm_jobs.server.problems import add_problems
from rprm_jobs.server.rewards.judging import RewardService
from rprm_jobs.server.rewards.lane import LiveLane
from rprm_jobs.server.routes import access, catalogue, health, jobs, metrics, results, rewards, submit
from rprm_jobs.server.state import ServiceOptions, ServiceState
from rprm_jobs.server.transport import PlainRequests
from rprm_jobs.server.uploads import Uploads
from rprm_jobs.services.context import Context

# With those of the live lane fewer than the pool has connections: a thread more would wait for one, and then fail.
_THREADS = 10
ROUTERS = (
    health.router, metrics.router, jobs.router, submit.router, results.router, catalogue.router, rewards.router,
    access.router, pages.router, comparison.router, actions.router,
)  # fmt: skip


def create_app(context: Context, options: ServiceOptions | None = None) -> FastAPI:
    """The service on an open context, which its caller closes."""
    app = FastAPI(
        title="rprm-jobs",
        version=__version__,
        summary="Judge the steps of sampled solutions with a reasoning process reward model.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_lifespan,
    )
    options = options or ServiceOptions()
    uploads = Uploads(context.settings.home, most_bytes=options.max_upload)
    state = ServiceState(context, JudgeBook(options.judges, k=options.k), uploads, options)
    app.state.service = state
    app.openapi = partial(openapi, app)  # type: ignore[method-assign]
    add_problems(app)
    for router in ROUTERS:
        app.include_router(router)
    # The last that is added is the first that a request meets.
    app.add_middleware(BodyLimit, most_bytes=options.max_body)
    app.add_middleware(AccessGate, state=state, routes=app.router.routes)
    app.add_middleware(MeasureRequests, metrics=state.metrics)
    app.add_middleware(PlainRequests)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    to_thread.current_default_thread_limiter().total_tokens = _THREADS
    service: ServiceState = app.state.service
    app.state.lane = lane = LiveLane(service.context)
    app.state.rewards = RewardService(lane, service.judges, service.context.settings.limits)
    try:
        yield
    finally:
        await lane.close()
