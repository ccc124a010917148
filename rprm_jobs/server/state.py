"""What every request works with: the open context, and how the service was started."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, cast

from fastapi import Depends, Request

from rprm_jobs.server.judges import JudgeBook
from rprm_jobs.server.metrics import ServiceMetrics
from rprm_jobs.server.uploads import Uploads
from rprm_jobs.services.context import Context


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """How the service is bound and limited. Sizes are bytes.

    `judges` are offered beside the shipped ones, and the first is the default; `k` are critiques a step where
    a reward's request says nothing, None for those of the judge's family.
    `proxies` are the addresses of those that end TLS and say
    who the client is.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    judges: tuple[str, ...] = ()
    k: int | None = None
    max_body: int = 32 * 1024 * 1024
    max_rows: int = 100_000
    max_upload: int = 4 * 1024**3
    requests_per_s: float = 2000.0
    bad_tokens_per_s: float = 10.0
    tls_cert: Path | None = None
    tls_key: Path | None = None
    proxies: str | None = None

    @property
    def url(self) -> str:
        """Where the service is reached on this machine."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.tls_cert else ''}://{host}:{self.port}"


@dataclass(slots=True)
class ServiceState:
    """One for each application, as `app.state.service`."""

    context: Context
    judges: JudgeBook
    uploads: Uploads
    options: ServiceOptions = field(default_factory=ServiceOptions)
    # Open streams of server-sent events.
    streams: int = 0
    # No stream is to go on.
    stopping: bool = False
    metrics: ServiceMetrics = field(init=False)

    def __post_init__(self) -> None:
        self.metrics = ServiceMetrics(self.context.database)


def service_state(request: Request) -> ServiceState:
    """The state of the application that serves this request."""
    return cast("ServiceState", request.app.state.service)


def actor_of(request: Request) -> str:
    """Who sent the request, as the audit log names it."""
    return cast("str", request.state.caller.name)


def _context(request: Request) -> Context:
    return service_state(request).context


ContextDependency = Annotated[Context, Depends(_context)]
