"""Templates to answers: the environment, the headers of every page, and errors as pages.

The policy allows the one script and the one style sheet of this service and nothing else, inline or from elsewhere.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined

from rprm_jobs import __version__
from rprm_jobs.errors import NotFound, RprmError
from rprm_jobs.server.pages.formats import FILTERS
from rprm_jobs.server.problems import Problem, status_of
from rprm_jobs.services.access import Scope

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_NOT_FOUND = NotFound("there is no such page", hint="the list of jobs is at /")


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("rprm_jobs.server.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    environment.globals["version"] = __version__
    return environment


def page(request: Request, template: str, *, code: int = 200, **values: Any) -> Response:
    """The template as an answer."""
    section = request.url.path.split("/")[1]
    allows = request.state.caller.scope.allows
    values |= {"may_submit": allows(Scope.SUBMIT), "may_delete": allows(Scope.ADMIN)}
    text = _environment().get_template(f"{template}.html.j2").render(section=section, path=request.url.path, **values)
    return HTMLResponse(text, code, HEADERS)


class PageRoute(APIRoute):
    """A route whose errors are pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with errors shown."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except RprmError as error:
                return page(request, "error", code=status_of(error), error=error)
            except Problem as problem:
                return page(request, "error", code=problem.status, error=RprmError(problem.detail))
            except RequestValidationError:
                return page(request, "error", code=404, error=_NOT_FOUND)

        return handle
