"""Errors as RFC 9457 problem documents: `type`, `title`, `status`, `detail`, `instance`, and our `where` and `hint`.

The type is `urn:rprm-jobs:` and the error's name, so that a program can tell them apart.
"""

from __future__ import annotations

import json
import logging
import re
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from rprm_jobs import errors
from rprm_jobs.errors import InputError, RprmError

_log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
# Seconds after which a client should try again when a server behind this one did not answer.
RETRY_AFTER_S = 2
_SHOWN_ERRORS = 20
# Where the phrase depends on the version of Python.
_KINDS = {413: "content-too-large"}
# The first class that an error is one of decides.
_STATUS: tuple[tuple[type[RprmError], int], ...] = (
    (errors.Deleted, 410),
    (errors.RowRefused, 422),
    (errors.ServiceError, 503),
    (errors.NotFound, 404),
    (errors.MissingExtra, 501),
    (errors.ConfigError, 422),
    (errors.InputError, 422),
    (errors.JudgeError, 422),
    (errors.Conflict, 409),
    (errors.UnsupportedJob, 409),
)


class Problem(Exception):
    """An answer other than success that a route decides itself; `more` are further members of the document."""

    def __init__(
        self, status: int, kind: str, detail: str, *, headers: dict[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail = status, kind, detail
        self.headers, self.more = headers or {}, more


def problem_response(
    request: Request, status: int, kind: str, detail: str, *, headers: dict[str, str] | None = None, **more: Any
) -> Response:
    """The document as a response."""
    document: dict[str, Any] = {
        "type": f"urn:rprm-jobs:{kind}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
    }
    document |= {name: value for name, value in more.items() if value not in (None, "", [])}
    # In ASCII: a text that the client sent may hold half a surrogate pair.
    return Response(json.dumps(document), status, headers, MEDIA_TYPE)


def status_of(error: RprmError) -> int:
    """The HTTP status of an error; 500 for one that no client can do anything about."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def error_response(request: Request, error: RprmError) -> Response:
    """An error of the project as a problem document."""
    status = status_of(error)
    if status >= 500:
        _log.warning("%s %s: %s", request.method, request.url.path, error)
    more: dict[str, Any] = {"where": error.where, "hint": error.hint}
    if isinstance(error, InputError) and error.bad_lines:
        more["bad_lines"] = [{"file": b.file, "line": b.line, "reason": b.reason} for b in error.bad_lines]
        more["n_bad"] = error.n_bad
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else None
    return problem_response(request, status, kind_of(type(error)), error.what, headers=headers, **more)


def kind_of(error: type[Exception]) -> str:
    """`StoreUnavailable` as `store-unavailable`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", error.__name__).lower()


def _is_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def add_problems(app: FastAPI) -> None:
    """Answer every error with a problem document."""

    @app.exception_handler(RprmError)
    async def _(request: Request, error: RprmError) -> Response:
        return error_response(request, error)

    @app.exception_handler(Problem)
    async def _(request: Request, problem: Problem) -> Response:
        return problem_response(
            request, problem.status, problem.kind, problem.detail, headers=problem.headers, **problem.more
        )

    @app.exception_handler(HTTPException)
    async def _(request: Request, error: HTTPException) -> Response:
        phrase = HTTPStatus(error.status_code).phrase
        kind = _KINDS.get(error.status_code, phrase.lower().replace(" ", "-"))
        return problem_response(
            request, error.status_code, kind, str(error.detail), headers=dict(error.headers or {}) or None
        )

    @app.exception_handler(ClientDisconnect)
    async def _(request: Request, _error: ClientDisconnect) -> Response:
        # Nobody reads it: the client went away while it sent its body.
        return problem_response(request, 400, "gone", "the client went away")

    @app.exception_handler(RequestValidationError)
    async def _(request: Request, error: RequestValidationError) -> Response:
        if isinstance(error.body, bytes) and not _is_json(request):
            sent = request.headers.get("content-type") or "no type"
            detail = f"the body is JSON, and the request says {sent!r}"
            return problem_response(
                request, 415, "unsupported-media-type", detail, hint="send Content-Type: application/json"
            )
        fields = [
            {"where": ".".join(str(part) for part in item["loc"]), "reason": item["msg"]}
            for item in error.errors()[:_SHOWN_ERRORS]
        ]
        detail = "; ".join(f"{field['where']}: {field['reason']}" for field in fields)
        return problem_response(request, 422, "invalid-request", detail, errors=fields)

    @app.exception_handler(Exception)
    async def _(request: Request, error: Exception) -> Response:
        _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return problem_response(
            request, 500, "internal-error", "the service met an error that nobody foresaw; its log has the traceback"
        )
