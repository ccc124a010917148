"""Jobs that are made of another job's solutions once that one is done.

`jobs.follow` says what to make; `made` is added to it with the job that was made, in the same transaction, so that one
wish makes one job; `error` is added where it cannot be made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.engine import Connection

_DUE = text(
    """
    SELECT j.id FROM jobs AS j
    WHERE j.follow IS NOT NULL AND NOT j.follow ?| ARRAY['made', 'error'] AND j.cancelled_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM shards AS s WHERE s.job_id = j.id AND s.state <> 'done')
    ORDER BY j.id LIMIT 10"""
)
_ADD = "UPDATE jobs SET follow = follow || CAST(:more AS jsonb) WHERE id = :id AND NOT follow ? 'made'"


def due(connection: Connection) -> list[int]:
    """Jobs that are done and whose follower is yet to be made."""
    return list(connection.execute(_DUE).scalars())


def read(connection: Connection, job_id: int) -> dict[str, Any] | None:
    """What is to be made of the job, and what was; None where nothing is."""
    query = text("SELECT follow FROM jobs WHERE id = :id")
    found: dict[str, Any] | None = connection.execute(query, {"id": job_id}).scalar_one_or_none()
    return found


def want(connection: Connection, job_id: int, plan: Mapping[str, Any]) -> None:
    """Have this made of a job that is there already, unless it was made and neither cancelled nor deleted since."""
    connection.execute(text("SELECT 1 FROM jobs WHERE id = :id FOR UPDATE"), {"id": job_id})
    now = read(connection, job_id) or {}
    same = {name: value for name, value in now.items() if name != "made"} == dict(plan)
    if same and ("made" not in now or _alive(connection, now["made"])):
        return
    query = text("UPDATE jobs SET follow = CAST(:plan AS jsonb) WHERE id = :id")
    connection.execute(query, {"id": job_id, "plan": _json(plan)})


def _alive(connection: Connection, job_id: int) -> bool:
    query = text("SELECT 1 FROM jobs WHERE id = :id AND cancelled_at IS NULL")
    return connection.execute(query, {"id": job_id}).one_or_none() is not None


def follower(connection: Connection, job_id: int) -> int | None:
    """The job that was made of this one."""
    made = (read(connection, job_id) or {}).get("made")
    return None if made is None else int(made)


def made(connection: Connection, job_id: int, follower_id: int) -> bool:
    """This is the job that was made; False where somebody else has made one, and this one must not be."""
    return connection.execute(text(_ADD), {"id": job_id, "more": _json({"made": follower_id})}).rowcount == 1


def give_up(connection: Connection, job_id: int, error: str) -> None:
    """It cannot be made, and why; it is not tried again."""
    connection.execute(text(_ADD), {"id": job_id, "more": _json({"error": error})})


def _json(value: Mapping[str, Any]) -> str:
    return msgspec.json.encode(value).decode()
