"""What every request works with: the open context, and how the service was started."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, Request

from rprm_jobs.server.metrics import ServiceMetrics
from rprm_jobs.services.context import Context


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """How the service is bound and limited. Sizes are bytes."""

    host: str = "127.0.0.1"
    port: int = 8000


@dataclass(slots=True)
class ServiceState:
    """One for each application, as `app.state.service`."""

    context: Context
    options: ServiceOptions = field(default_factory=ServiceOptions)
    metrics: ServiceMetrics = field(init=False)

    def __post_init__(self) -> None:
        self.metrics = ServiceMetrics(self.context.database)


def service_state(request: Request) -> ServiceState:
    """The state of the application that serves this request."""
    return cast("ServiceState", request.app.state.service)


def _context(request: Request) -> Context:
    return service_state(request).context


ContextDependency = Annotated[Context, Depends(_context)]
