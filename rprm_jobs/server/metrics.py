"""`/metrics`: the queue as the store has it, and how long the service takes to answer.

Requests are counted by the route's pattern, never by the path that was asked for, so that a client cannot fill
Prometheus with names.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Gauge, Histogram, Metric, ProcessCollector, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rprm_jobs.services.metrics.store import StoreCollector
from rprm_jobs.store.session import Database

# A page takes milliseconds; a reward waits for a judge, and trainers wait for up to five minutes.
_SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
# The client went before the answer began; nginx's number for it.
_CLIENT_GONE = 499


class ServiceMetrics:
    """One for each application."""

    def __init__(self, database: Database) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._store = StoreCollector(database)
        self._registry.register(self._store)
        self._seconds = Histogram(
            "rprm_http_request_seconds",
            "time from a request to the beginning of its answer",
            ("method", "route", "status"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._in_progress = Gauge(
            "rprm_http_requests_in_progress", "requests whose answer has not ended", registry=self._registry
        )

    def page(self) -> bytes:
        """All metrics in Prometheus's text format; asks Postgres."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Every family without values of the store; asks nobody."""
        yield from self._store.describe()
        yield from self._seconds.collect()
        yield from self._in_progress.collect()

    def began(self) -> None:
        """A request came."""
        self._in_progress.inc()

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Its answer began."""
        self._seconds.labels(method, route, str(status)).observe(seconds)

    def ended(self) -> None:
        """Its answer ended, or its client went."""
        self._in_progress.dec()


class MeasureRequests:
    """ASGI middleware that times every request up to the beginning of its answer, which may be a long stream."""

    def __init__(self, app: ASGIApp, metrics: ServiceMetrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and measure it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, answered = time.monotonic(), False

        def answer(status: int) -> None:
            nonlocal answered
            answered = True
            self._metrics.answered(_method(scope), _route(scope), status, time.monotonic() - began)

        async def measured_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer(message["status"])
            await send(message)

        self._metrics.began()
        try:
            await self._app(scope, receive, measured_send)
        except Exception:
            # What stands around this answers it.
            if not answered:
                answer(500)
            raise
        finally:
            if not answered:
                answer(_CLIENT_GONE)
            self._metrics.ended()


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else "other"


def _route(scope: Scope) -> str:
    """The pattern of the route that matched, such as /v1/jobs/{job_id}; "none" where none did."""
    pattern = getattr(scope.get("route"), "path", None)
    return pattern if isinstance(pattern, str) else "none"
