"""Tokens of the HTTP service. The table holds their digests alone: a token is shown once, when it is created."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.errors import Conflict, NotFound


@dataclass(frozen=True, slots=True)
class StoredToken:
    """One token without its secret. `scope` is read, submit or admin; `live`: neither revoked nor expired."""

    id: int
    name: str
    scope: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    live: bool
    digest: str


_COLUMNS = (
    "id, name, scope, created_at, expires_at, revoked_at,"
    " revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) AS live, digest"
)


def create(connection: Connection, *, name: str, scope: str, digest: str, days: float | None) -> StoredToken:
    """Store a token. Raises Conflict when the name is taken, also by a revoked one."""
    row = connection.execute(
        text(
            "INSERT INTO api_tokens (name, scope, digest, expires_at)"
            " VALUES (:name, :scope, :digest, now() + make_interval(secs => CAST(:seconds AS float8)))"
            f" ON CONFLICT (name) DO NOTHING RETURNING {_COLUMNS}"
        ),
        {"name": name, "scope": scope, "digest": digest, "seconds": None if days is None else days * 86400},
    ).one_or_none()
    if row is None:
        raise Conflict(f"there is a token {name!r} already", hint="names stay taken, for the audit log: choose another")
    return StoredToken(*row)


def list_all(connection: Connection) -> list[StoredToken]:
    """Every token that there ever was, oldest first."""
    return [StoredToken(*row) for row in connection.execute(text(f"SELECT {_COLUMNS} FROM api_tokens ORDER BY id"))]


def revoke(connection: Connection, name: str) -> None:
    """End the token; it stays in the list. Raises NotFound."""
    query = text("UPDATE api_tokens SET revoked_at = coalesce(revoked_at, now()) WHERE name = :name")
    if connection.execute(query, {"name": name}).rowcount != 1:
        raise NotFound(f"there is no token {name!r}", hint="list them: rprm-jobs token list")
