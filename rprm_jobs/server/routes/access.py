"""`/v1/tokens` and `/v1/audit-log`: who may use the service, and who did what with it. For administrators."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from rprm_jobs.server.documents import described, document
from rprm_jobs.server.scopes import Logged, needs
from rprm_jobs.server.state import ContextDependency
from rprm_jobs.services import access
from rprm_jobs.services.access import MOST_DAYS, Scope
from rprm_jobs.store.access.audit_log import LogEntry
from rprm_jobs.store.access.tokens import StoredToken
from rprm_jobs.store.records import MAX_ID

router = APIRouter(prefix="/v1", tags=["access"])
_NAME = r"^[\w.@-]{1,100}$"


class TokenRequest(BaseModel):
    """A token to create."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(pattern=_NAME)]
    scope: Scope
    days: Annotated[float | None, Field(gt=0, le=MOST_DAYS, description="Until it expires; default: never.")] = None


class Token(msgspec.Struct, frozen=True, omit_defaults=True):
    """A token; `token`, the secret itself, is there only when it was just created. Times are RFC 3339."""

    name: str
    scope: str
    live: bool
    created_at: str
    expires_at: str | None = None
    revoked_at: str | None = None
    token: str | None = None


class TokenList(msgspec.Struct, frozen=True):
    """All tokens, oldest first."""

    tokens: list[Token]


class LogPage(msgspec.Struct, frozen=True):
    """Entries, newest first. `next` is the `before` that continues the list; None at its end."""

    entries: list[LogEntry]
    next: int | None


def _shown(stored: StoredToken, secret: str | None = None) -> Token:
    times = {name: getattr(stored, name) for name in ("created_at", "expires_at", "revoked_at")}
    shown = {name: time and time.isoformat() for name, time in times.items()}
    return Token(stored.name, stored.scope, stored.live, token=secret, **shown)


@router.get("/tokens", responses=described(TokenList, "All tokens, without the secrets."), response_class=Response)
@needs(Scope.ADMIN)
def tokens(context: ContextDependency) -> Response:
    """List the tokens."""
    return document(TokenList([_shown(stored) for stored in access.list_tokens(context)]))


@router.post("/tokens", responses=described(Token, "The token.", status=201), status_code=201, response_class=Response)
@needs(Scope.ADMIN, log=Logged.EACH)
def create(context: ContextDependency, request: Request, body: TokenRequest) -> Response:
    """Create a token; its secret is shown this once."""
    actor = request.state.caller.name
    secret, stored = access.create_token(context, body.name, body.scope, days=body.days, actor=actor)
    return document(_shown(stored, secret), status=201)


@router.delete("/tokens/{name}", status_code=204)
@needs(Scope.ADMIN)
def revoke(context: ContextDependency, request: Request, name: Annotated[str, Path(pattern=_NAME)]) -> Response:
    """Revoke a token; it is refused within a second."""
    access.revoke_token(context, name, actor=request.state.caller.name)
    return Response(status_code=204)


@router.get("/audit-log", responses=described(LogPage, "A page of the audit log."), response_class=Response)
@needs(Scope.ADMIN)
def audit_log(
    context: ContextDependency,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
) -> Response:
    """Who did what, newest first."""
    entries = access.read_log(context, limit, before=before)
    return document(LogPage(entries, entries[-1].id if len(entries) == limit else None))
