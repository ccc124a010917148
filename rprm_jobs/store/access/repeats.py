"""Repeated requests: a caller's key leads to the job that the first request with it created.

The key is written in the transaction that creates the job, so a request whose answer was lost may be sent again.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.errors import Conflict


@dataclass(frozen=True, slots=True)
class Repeat:
    """What a caller calls a request by, so that the same one sent again finds the job."""

    actor: str
    key: str


def find(connection: Connection, repeat: Repeat, request_digest: str) -> int | None:
    """The job of this key, None for a new one. Raises Conflict where the key stands for another request."""
    row = connection.execute(
        text("SELECT request_digest, job_id FROM idempotency_keys WHERE actor = :actor AND key = :key"),
        {"actor": repeat.actor, "key": repeat.key},
    ).one_or_none()
    if row is None:
        return None
    if row.request_digest != request_digest:
        raise Conflict(
            f"the Idempotency-Key {repeat.key!r} was used for another request",
            hint="use a new key for each new request",
        )
    return int(row.job_id)


def store(connection: Connection, repeat: Repeat, request_digest: str, job_id: int) -> int | None:
    """Let the key lead to the job. Where a request at the same time was first: its job, and the caller rolls back."""
    query = text(
        "INSERT INTO idempotency_keys (actor, key, request_digest, job_id) VALUES (:actor, :key, :digest, :job)"
        " ON CONFLICT DO NOTHING"
    )
    values = {"actor": repeat.actor, "key": repeat.key, "digest": request_digest, "job": job_id}
    if connection.execute(query, values).rowcount == 1:
        return None
    return find(connection, repeat, request_digest)
