"""What each route needs, said beside it: `@needs(Scope.SUBMIT)`, or `@public`. A route that says nothing needs ADMIN.

`rprm_jobs.server.access` reads it before any route runs, so no route can forget to ask.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from rprm_jobs.services.access import Scope

T = TypeVar("T", bound=Callable[..., Any])
_ATTRIBUTE = "rprm_needs"


class Logged(StrEnum):
    """What of a route's requests goes into the audit log: each, the first of a caller's run, or none."""

    EACH = "each"
    FIRST = "first"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Needs:
    """`scope` None: nothing is needed. `log` counts for methods that change something."""

    scope: Scope | None
    log: Logged = Logged.EACH


def needs(scope: Scope, log: Logged = Logged.EACH) -> Callable[[T], T]:
    """Mark a route's function, or an application to be mounted."""
    return lambda function: _mark(function, Needs(scope, log))


def public(function: T) -> T:
    """Mark a route that needs no token, whatever the service is bound to."""
    return _mark(function, Needs(None, Logged.NONE))


def _mark(function: T, needed: Needs) -> T:
    setattr(function, _ATTRIBUTE, needed)
    return function


def needs_of(route: Any) -> Needs:
    """What a route, or a mounted application, needs."""
    marked = getattr(route, "endpoint", None) or getattr(route, "app", None)
    needed = getattr(marked, _ATTRIBUTE, None)
    return needed if isinstance(needed, Needs) else Needs(Scope.ADMIN)
