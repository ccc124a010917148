"""Who did what with the service, and with its tokens. The oldest of very many entries are dropped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.store.texts import storable

KEPT = 1_000_000
_TRIM_EVERY = 1000
_MOST_CHARS = 500


@dataclass(frozen=True, slots=True)
class LogEntry:
    """`actor` did `action` from `client` (an address), and was answered with the HTTP `status` (0: no HTTP)."""

    id: int
    at: datetime
    actor: str
    client: str
    action: str
    status: int


def add(connection: Connection, *, actor: str, client: str, action: str, status: int) -> None:
    """Write one entry."""
    texts = {"actor": actor, "client": client, "action": action}
    number = connection.execute(
        text(
            "INSERT INTO audit_log (actor, client, action, status) VALUES (:actor, :client, :action, :status)"
            " RETURNING id"
        ),
        {**{name: storable(value)[:_MOST_CHARS] for name, value in texts.items()}, "status": status},
    ).scalar_one()
    if number % _TRIM_EVERY == 0:
        connection.execute(text("DELETE FROM audit_log WHERE id <= :last"), {"last": number - KEPT})


def read(connection: Connection, limit: int, *, before: int) -> list[LogEntry]:
    """The newest entries first; only those with a lower id than `before`."""
    query = text(
        "SELECT id, at, actor, client, action, status FROM audit_log WHERE id < :before ORDER BY id DESC LIMIT :limit"
    )
    return [LogEntry(*row) for row in connection.execute(query, {"before": before, "limit": limit})]
