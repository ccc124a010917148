"""The life of a shard's lease: claim, renew, hand back, finish. All times are Postgres's own.

`attempt` is the fencing token: it grows with every claim, and every later statement of the holder names it. A
statement that finds no row means that the lease is lost, and its caller writes nothing more.

A shard that failed before is judged by a worker that holds nothing else: when a worker dies, every shard that it held
fails with it, so only a shard that failed alone can be split or quarantined without harming others. One worker makes
room for it by finishing what it holds, while the others pass it by.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.engine import Connection

from rprm_jobs.crash import crash_point
from rprm_jobs.errors import LeaseLost
from rprm_jobs.store.queue.workers import SILENT_AFTER_S
from rprm_jobs.store.records import Lease

LOWEST_PRIORITY = -(2**31)

_LEASE_COLUMNS = "s.id, s.job_id, s.attempt, s.owner, s.first_ord, s.last_ord, s.round, s.failures, s.extension"

_READY = (
    "shards WHERE queue = :queue AND state = 'ready' AND priority >= :at_least"
    " AND job_id <> ALL (CAST(:without AS bigint[]))"
)
_BY_URGENCY = "ORDER BY priority DESC, id LIMIT 1"
_BY_JOB = "ORDER BY job_id, id LIMIT 1"
# Whether this worker takes the shard if it failed before; a worker that holds others takes only such as did not.
_FITS = "(:exclusive OR failures = 0) AND NOT EXISTS (SELECT 1 FROM room)"
_LOCKED = "FOR UPDATE SKIP LOCKED"
_MOST_URGENT = (
    f"(SELECT id, failures FROM {_READY} {_BY_URGENCY})",
    f"next AS (SELECT id FROM {_READY} AND {_FITS} {_BY_URGENCY} {_LOCKED})",
)
# Two steps along an index, however many jobs wait and shards there are. To ask which job was longest not claimed from
# took seconds with 1,000 jobs, and a claim is taken under a lock of its worker.
_NEXT_IN_TURN = (
    f"""(SELECT id, failures FROM {_READY} AND job_id > :after {_BY_JOB})
        UNION ALL (SELECT id, failures FROM {_READY} AND job_id <= :after {_BY_JOB}) LIMIT 1""",
    f"""
    later AS (SELECT id FROM {_READY} AND job_id > :after AND {_FITS} {_BY_JOB} {_LOCKED}),
    first AS (SELECT id FROM {_READY} AND job_id <= :after AND {_FITS} AND NOT EXISTS (SELECT 1 FROM later)
              {_BY_JOB} {_LOCKED}),
    next AS (SELECT id FROM later UNION ALL SELECT id FROM first)""",
)


def _claim_of(head_and_next: tuple[str, str]) -> TextClause:
    # `room` has a row when the shard whose turn it is failed before, and this worker is the one that makes room for it:
    # the alive worker that comes first in an order of the shard's own, so that all agree and the others go on.
    head, next_ = head_and_next
    return text(
        f"""
    WITH head AS ({head}),
    room AS (
      SELECT 1 FROM head
      WHERE NOT :exclusive AND head.failures > 0 AND :owner = coalesce((
        SELECT w.id FROM workers AS w
        WHERE w.queue = :queue AND w.trouble IS NULL AND w.seen_at > now() - make_interval(secs => {SILENT_AFTER_S})
        ORDER BY hashtext(w.id || ':' || head.id), w.id LIMIT 1), :owner)),
    {next_}
    UPDATE shards AS s
    SET state = 'leased', attempt = attempt + 1, owner = :owner, engine = :engine, claimed_at = now(),
        lease_until = now() + make_interval(secs => :lease_s)
    FROM next WHERE s.id = next.id
    RETURNING {_LEASE_COLUMNS}"""
    )


_CLAIM, _CLAIM_IN_TURN = _claim_of(_MOST_URGENT), _claim_of(_NEXT_IN_TURN)

_HELD = "id = :id AND attempt = :attempt AND owner = :owner AND state = 'leased'"
_FENCE = text(f"SELECT 1 FROM shards WHERE {_HELD} FOR UPDATE")
_FINISH = text(
    f"UPDATE shards SET state = 'done', owner = NULL, lease_until = NULL, finished_at = now(), error = NULL"
    f" WHERE {_HELD}"
)
_HAND_BACK = text(f"UPDATE shards SET state = 'ready', owner = NULL, lease_until = NULL, rung_at = NULL WHERE {_HELD}")
_RENEW = text(
    """
    UPDATE shards AS s SET lease_until = now() + make_interval(secs => :lease_s)
    FROM unnest(CAST(:ids AS bigint[]), CAST(:attempts AS integer[])) AS held (id, attempt)
    WHERE s.id = held.id AND s.attempt = held.attempt AND s.owner = :owner AND s.state = 'leased'
    RETURNING s.id, s.attempt"""
)


def _held(lease: Lease) -> dict[str, Any]:
    return {"id": lease.shard_id, "attempt": lease.attempt, "owner": lease.owner}


def claim(
    connection: Connection,
    *,
    queue: str,
    owner: str,
    engine: str,
    lease_s: float,
    exclusive: bool = True,
    after: int | None = None,
    without: Iterable[int] = (),
    at_least: int = LOWEST_PRIORITY,
) -> Lease | None:
    """Lease the queue's most urgent ready shard (priority, then age), or None where there is none.

    `after`: whatever its priority, the oldest shard of the waiting job that comes after this job, and after the last
    the first; a caller that goes on from job to job passes none over. `exclusive`: the worker holds no other. When it
    does, and that shard failed before, one worker of the queue gets None, finishes what it holds and comes back for it;
    the others get the next shard that did not fail. `without`: jobs whose shards are left to others. `at_least`: the
    lowest priority to claim.
    """
    values: dict[str, Any] = {"queue": queue, "owner": owner, "engine": engine, "lease_s": lease_s}
    values |= {"exclusive": exclusive, "without": list(without), "at_least": at_least}
    statement, turn = (_CLAIM, {}) if after is None else (_CLAIM_IN_TURN, {"after": after})
    row = connection.execute(statement, {**values, **turn}).one_or_none()
    if row is None:
        return None
    crash_point("claim.before-commit")
    return Lease(*row)


def renew(connection: Connection, leases: Iterable[Lease], *, owner: str, lease_s: float) -> set[tuple[int, int]]:
    """Prolong the leases; returns the (shard_id, attempt) pairs that are still held. The others are lost."""
    held = list(leases)
    rows = connection.execute(
        _RENEW,
        {
            "ids": [lease.shard_id for lease in held],
            "attempts": [lease.attempt for lease in held],
            "owner": owner,
            "lease_s": lease_s,
        },
    )
    return {(row.id, row.attempt) for row in rows}


def fence(connection: Connection, lease: Lease) -> None:
    """Lock the shard for this attempt until the transaction ends. Raises LeaseLost when it is not the holder's."""
    if connection.execute(_FENCE, _held(lease)).one_or_none() is None:
        raise LeaseLost(f"shard {lease.shard_id} is no longer held by attempt {lease.attempt}")


def finish(connection: Connection, lease: Lease) -> None:
    """The shard is done. Raises LeaseLost when it is not the holder's."""
    crash_point("finish.before")
    if connection.execute(_FINISH, _held(lease)).rowcount != 1:
        raise LeaseLost(f"shard {lease.shard_id} is no longer held by attempt {lease.attempt}")


def hand_back(connection: Connection, lease: Lease) -> bool:
    """Give the shard back unharmed: ready again, no failure counted. False when it was no longer held."""
    return connection.execute(_HAND_BACK, _held(lease)).rowcount == 1


def hand_back_strays(connection: Connection, owner: str, known: Iterable[int]) -> int:
    """Hand back what this owner holds without knowing it: claims whose COMMIT was answered by a broken connection."""
    query = text(
        "UPDATE shards SET state = 'ready', owner = NULL, lease_until = NULL, rung_at = NULL"
        " WHERE state = 'leased' AND owner = :owner AND NOT (id = ANY(:known))"
    )
    return connection.execute(query, {"owner": owner, "known": list(known)}).rowcount
