"""Who may use what: one gate before every route, for the API, rewards and pages alike.

A token comes as `Authorization: Bearer TOKEN`, or from a browser as the password of Basic. Without any token in the
store a service that is bound to the loopback serves whoever is on this machine; bound elsewhere, or once there is a
token, nobody comes in without one.

A browser sends what it knows along with requests that a foreign page makes, so requests that change something must not
come from one; and without tokens the host must be the loopback, or a foreign name could be made to lead here.
"""

from __future__ import annotations

import base64
import ipaddress
import logging
from collections import OrderedDict
from urllib.parse import SplitResult, urlsplit

from anyio import to_thread
from fastapi import Request, Response
from starlette.datastructures import Headers
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rprm_jobs.errors import ConfigError, RprmError, StoreError
from rprm_jobs.server.limits import RateLimit
from rprm_jobs.server.problems import error_response, problem_response
from rprm_jobs.server.scopes import Logged, Needs, needs_of
from rprm_jobs.server.state import ServiceState
from rprm_jobs.services import access
from rprm_jobs.services.access import Caller, TokenBook

_log = logging.getLogger(__name__)
_HERE = Caller("this machine", access.Scope.ADMIN)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_MOST_TOKEN_BYTES = 512
_MOST_RUNS = 10_000
_SHOWN_REFUSALS = 5


def is_loopback(host: str) -> bool:
    """Whether a service that is bound to this host is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def refuse_open(state: ServiceState) -> None:
    """Raises ConfigError where the service would be open to the network: bound elsewhere, and without a token."""
    host = state.options.host
    if not is_loopback(host) and not access.list_tokens(state.context):
        raise ConfigError(
            f"--host {host} is reached from other machines, and there is no token",
            hint="rprm-jobs token create NAME --scope admin, or serve on 127.0.0.1",
        )


class AccessGate:
    """The gate as ASGI middleware. It leaves the caller in `request.state.caller`."""

    def __init__(self, app: ASGIApp, state: ServiceState, routes: list[BaseRoute]) -> None:
        self._app, self._state, self._routes = app, state, routes
        self._tokens = TokenBook(state.context)
        self._open = is_loopback(state.options.host)
        self._rate = RateLimit(state.options.requests_per_s)
        self._bad_tokens = RateLimit(state.options.bad_tokens_per_s)
        self._refusals = RateLimit(_SHOWN_REFUSALS)
        self._runs: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer it."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        needed = self._needs(scope)
        try:
            caller = await self._caller(request, needed)
        except RprmError as error:
            await error_response(request, error)(scope, receive, send)
            return
        answer = self._refusal(request, needed, caller)
        if answer is not None:
            await self._log_refusal(request, caller, answer.status_code)
            await answer(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller or Caller("anybody", access.Scope.READ)
        await self._app(scope, receive, self._logging(request, needed, caller, send))

    def _needs(self, scope: Scope) -> Needs:
        partial: Needs | None = None
        for route in self._routes:
            match, _ = route.matches(scope)
            if match is Match.FULL:
                return needs_of(route)
            if match is Match.PARTIAL and partial is None:
                partial = needs_of(route)
        return partial or Needs(access.Scope.READ, Logged.NONE)

    async def _caller(self, request: Request, needed: Needs) -> Caller | None:
        """Who this is; None for nobody known. Raises StoreError while tokens cannot be read for the first time."""
        if needed.scope is None:
            return None
        if self._tokens.stale:
            await to_thread.run_sync(self._tokens.refresh)
        secret = _secret(request.headers)
        if secret is not None:
            return self._tokens.find(secret)
        return _HERE if self._open and not self._tokens.any else None

    def _refusal(self, request: Request, needed: Needs, caller: Caller | None) -> Response | None:
        if needed.scope is None:
            return None
        if caller is None:
            return self._unknown(request)
        if caller is _HERE and not _asked_here(request):
            return problem_response(
                request, 403, "foreign-host", "without tokens the service answers to 127.0.0.1 and localhost alone"
            )
        if request.method not in _SAFE and _is_foreign(request, proxied=self._state.options.proxies is not None):
            return problem_response(request, 403, "foreign-origin", "a page of another site must not change anything")
        if not caller.scope.allows(needed.scope):
            detail = f"this needs scope {needed.scope}, and the token {caller.name!r} has {caller.scope}"
            return problem_response(request, 403, "scope", detail, needs=needed.scope.value)
        if (wait := self._rate.take(caller.name)) is not None:
            return _too_many(request, wait, "requests of this token")
        return None

    def _unknown(self, request: Request) -> Response:
        client = request.client.host if request.client else ""
        if (wait := self._bad_tokens.take(client)) is not None:
            return _too_many(request, wait, "requests without a good token from this address")
        sent = "authorization" in request.headers
        detail = "the token is unknown, revoked or expired" if sent else "a token is needed"
        browser = "text/html" in request.headers.get("accept", "")
        challenge = 'Basic realm="rprm-jobs", charset="UTF-8"' if browser else 'Bearer realm="rprm-jobs"'
        return problem_response(
            request, 401, "token", detail, headers={"WWW-Authenticate": challenge},
            hint="Authorization: Bearer TOKEN; tokens are created by rprm-jobs token create NAME",
        )  # fmt: skip

    def _logging(self, request: Request, needed: Needs, caller: Caller | None, send: Send) -> Send:
        """`send`, which enters what was done into the audit log before its answer goes out."""
        if caller is None or request.method in _SAFE or not self._is_logged(request, needed, caller):
            return send

        async def logged(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._write(request, caller.name, message["status"])
            await send(message)

        return logged

    def _is_logged(self, request: Request, needed: Needs, caller: Caller) -> bool:
        if needed.log is not Logged.FIRST:
            return needed.log is Logged.EACH
        key = (caller.name, f"{request.url.path} {request.query_params.get('run', '')}")
        if key in self._runs:
            return False
        self._runs[key] = None
        while len(self._runs) > _MOST_RUNS:
            self._runs.popitem(last=False)
        return True

    async def _log_refusal(self, request: Request, caller: Caller | None, status: int) -> None:
        """Of very many refusals a few a second: the log must not be filled from outside."""
        if self._refusals.take("") is None:
            await self._write(request, caller.name if caller else "unknown", status)

    async def _write(self, request: Request, actor: str, status: int) -> None:
        client = request.client.host if request.client else ""
        run = request.query_params.get("run")
        action = f"{request.method} {request.url.path}" + (f" run={run}" if run else "")
        try:
            await to_thread.run_sync(access.write_log, self._state.context, actor, client, action, status)
        except StoreError as error:
            _log.error("not in the audit log (%s): %s %s %s %d", error.what, actor, client, action, status)


def _secret(headers: Headers) -> str | None:
    """The token of a request; None without one."""
    kind, _, value = headers.get("authorization", "").partition(" ")
    if not value or len(value) > _MOST_TOKEN_BYTES:
        return "" if kind else None
    if kind.lower() == "bearer":
        return value.strip()
    if kind.lower() != "basic":
        return ""
    try:
        name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except ValueError:
        return ""
    return password or name


def _asked_here(request: Request) -> bool:
    """Whether the request names the loopback; a client of HTTP/1.0 names no host, and is no browser."""
    host = request.headers.get("host")
    return host is None or is_loopback(_split(f"//{host}").hostname or "")


def _split(address: str) -> SplitResult:
    """Its parts; those of nothing for what is no address."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


def _is_foreign(request: Request, *, proxied: bool) -> bool:
    """Whether a page of another site made the request. Programs that are no browsers send neither header."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = request.headers.get("origin")
    if origin is None:
        return False
    hosts = {request.headers.get("host", "")}
    if proxied:
        hosts.add(request.headers.get("x-forwarded-host", ""))
    return _split(origin).netloc not in hosts


def _too_many(request: Request, wait: float, what: str) -> Response:
    seconds = max(1, round(wait + 0.5))
    return problem_response(
        request, 429, "rate", f"too many {what}; try again in {seconds} s", headers={"Retry-After": str(seconds)}
    )
