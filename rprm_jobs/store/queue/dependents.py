"""Dependent jobs: jobs that are created from another job's solutions when that job is done.

`jobs.follow` holds the request; the link to the job that was created is added as `made` in the transaction that creates
it, so one request gets one job. `copying` is how far a copy has come (rprm_jobs.store.jobs.dependent_copy), and
`error` is added when the request cannot be fulfilled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.store.schema import partitions

# Two-part advisory locks share one key space; this is the first half of those on requests ("RPRD").
_CLAIM_CLASS = 0x52505244
_DUE = """
    SELECT j.id FROM jobs AS j
    WHERE j.follow IS NOT NULL AND NOT j.follow ?| ARRAY['made', 'error'] AND j.cancelled_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM shards AS s WHERE s.job_id = j.id AND s.state <> 'done')"""
_SETTLE = "UPDATE jobs SET follow = follow - 'copying' || CAST(:more AS jsonb) WHERE id = :id AND NOT follow ? 'made'"
# What the store adds to a request.
_ADDED = ("made", "copying")


def due(connection: Connection) -> list[int]:
    """Ids of the jobs that are done and whose dependent job does not exist yet, oldest first."""
    return list(connection.execute(text(f"{_DUE} ORDER BY j.id")).scalars())


def is_due(connection: Connection, job_id: int) -> bool:
    """Whether this job is done and its dependent job is still to be created."""
    return connection.execute(text(f"{_DUE} AND j.id = :id"), {"id": job_id}).one_or_none() is not None


def claim(connection: Connection, job_id: int) -> bool:
    """Become the only one that creates the dependent job, until the transaction ends; False when that is another.

    A claimer that dies loses the lock with its connection, so the next one that looks takes over.
    """
    locked = text("SELECT pg_try_advisory_xact_lock(:class, CAST(:id % 2147483648 AS integer))")
    return bool(connection.execute(locked, {"class": _CLAIM_CLASS, "id": job_id}).scalar_one())


def read_request(connection: Connection, job_id: int) -> dict[str, Any] | None:
    """The job's request, with what the store has added to it; None without a request."""
    query = text("SELECT follow FROM jobs WHERE id = :id")
    stored: dict[str, Any] | None = connection.execute(query, {"id": job_id}).scalar_one_or_none()
    return stored


def request(connection: Connection, job_id: int, plan: Mapping[str, Any]) -> None:
    """Request a dependent job of an existing job, unless the same request already has a live one."""
    connection.execute(text("SELECT 1 FROM jobs WHERE id = :id FOR UPDATE"), {"id": job_id})
    stored = read_request(connection, job_id) or {}
    same = {name: value for name, value in stored.items() if name not in _ADDED} == dict(plan)
    if same and ("made" not in stored or _is_live(connection, stored["made"])):
        return
    drop_copy(connection, job_id)
    query = text("UPDATE jobs SET follow = CAST(:plan AS jsonb) WHERE id = :id")
    connection.execute(query, {"id": job_id, "plan": _json(plan)})


def _is_live(connection: Connection, job_id: int) -> bool:
    query = text("SELECT 1 FROM jobs WHERE id = :id AND cancelled_at IS NULL")
    return connection.execute(query, {"id": job_id}).one_or_none() is not None


def dependent_job(connection: Connection, job_id: int) -> int | None:
    """The id of the job that was created from this one, None while there is none."""
    created = (read_request(connection, job_id) or {}).get("made")
    return None if created is None else int(created)


def link(connection: Connection, job_id: int, dependent_id: int) -> bool:
    """Store that `dependent_id` was created from the job; False when another dependent job exists already."""
    return connection.execute(text(_SETTLE), {"id": job_id, "more": _json({"made": dependent_id})}).rowcount == 1


def fail(connection: Connection, job_id: int, error: str) -> None:
    """Store why the request cannot be fulfilled; it is not tried again."""
    connection.execute(text(_SETTLE), {"id": job_id, "more": _json({"error": error})})


def set_copy(connection: Connection, job_id: int, copying: Mapping[str, Any]) -> None:
    """Store how far the copy has come; `copying["job"]` is the id of the job to be."""
    query = text("UPDATE jobs SET follow = follow || CAST(:more AS jsonb) WHERE id = :id")
    connection.execute(query, {"id": job_id, "more": _json({"copying": copying})})


def drop_copy(connection: Connection, job_id: int) -> None:
    """Drop what an unfinished copy has brought so far, if there is one; the next begins anew."""
    copying = (read_request(connection, job_id) or {}).get("copying")
    if copying is not None:
        partitions.drop(connection, copying["job"])
        connection.execute(text("UPDATE jobs SET follow = follow - 'copying' WHERE id = :id"), {"id": job_id})


def _json(value: Mapping[str, Any]) -> str:
    return msgspec.json.encode(value).decode()
