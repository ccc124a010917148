"""The failed attempts of a job's shards: who failed when, why, and what became of the shard.

A shard that is split leaves its history to both halves, because a row names the solutions that the attempt held.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.engine import Connection

from rprm_jobs.store.records import FailedAttempt

# A job whose every solution crashes its worker must not fill the disk with their stories.
KEPT_A_JOB = 10_000
_TRIM_EVERY = 100

_ADD = text(
    "INSERT INTO failed_attempts (job_id, shard_id, attempt, first_ord, last_ord, worker, engine, claimed_at, reason,"
    " outcome) VALUES (:job_id, :shard_id, :attempt, :first_ord, :last_ord, :worker, :engine, :claimed_at, :reason,"
    " :outcome) RETURNING id"
)
_TRIM = text(
    "DELETE FROM failed_attempts WHERE job_id = :job AND id <="
    " (SELECT id FROM failed_attempts WHERE job_id = :job ORDER BY id DESC OFFSET :kept LIMIT 1)"
)


def add(connection: Connection, shard: Row[Any], reason: str, outcome: str) -> None:
    """Keep one failed attempt: `shard` is its row as the attempt held it. The oldest of very many are dropped."""
    values = {name: getattr(shard, name) for name in ("job_id", "attempt", "first_ord", "last_ord", "engine")}
    values |= {"shard_id": shard.id, "worker": shard.owner, "claimed_at": shard.claimed_at}
    number = connection.execute(_ADD, {**values, "reason": reason, "outcome": outcome}).scalar_one()
    if number % _TRIM_EVERY == 0:
        connection.execute(_TRIM, {"job": shard.job_id, "kept": KEPT_A_JOB})


def count(connection: Connection, shard: Row[Any], outcome: str) -> int:
    """How many attempts at all the solutions of the shard, also before a split, had this outcome."""
    query = text(
        "SELECT count(*) FROM failed_attempts WHERE job_id = :job AND outcome = :outcome"
        " AND first_ord <= :first AND last_ord >= :last"
    )
    values = {"job": shard.job_id, "outcome": outcome, "first": shard.first_ord, "last": shard.last_ord}
    return int(connection.execute(query, values).scalar_one())


def read(connection: Connection, job_id: int) -> list[FailedAttempt]:
    """The job's failed attempts, oldest first."""
    rows = connection.execute(
        text(
            "SELECT shard_id, attempt, first_ord, last_ord, worker, engine, claimed_at, failed_at, reason, outcome"
            " FROM failed_attempts WHERE job_id = :job ORDER BY id"
        ),
        {"job": job_id},
    ).mappings()
    return [FailedAttempt(**row) for row in rows]
