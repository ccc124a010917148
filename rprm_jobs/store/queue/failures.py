"""What happens to a shard whose attempt failed: it is tried again, split, or (with one solution left) quarantined.

`failures` counts crashes, exceptions and lapsed leases; a clean hand-back adds none. The halves of a split start one
failure short of the limit, so a poison rollout among 32 costs 8 attempts and not 13. A solution that is left alone has
one attempt more: workers also die for no fault of what they judge, and the last solution of a shard is often the only
one held. A reward from before an extension stands, with its critiques.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.engine import Connection

from rprm_jobs.crash import crash_point
from rprm_jobs.store.queue import attempts
from rprm_jobs.store.queue.standing import keep_earlier
from rprm_jobs.store.queue.uptime import UP_SINCE
from rprm_jobs.store.records import Lease
from rprm_jobs.store.schema.partitions import partition
from rprm_jobs.store.texts import storable

MAX_FAILURES = 2
MAX_FAILURES_ALONE = 3
# An engine dies for many reasons, so its deaths are not counted until so many were in a row on the same solutions.
MAX_ENGINE_DEATHS = 3
HANDED_BACK, ENGINE_DIED = "handed back", "engine died"
_MAX_ERROR_CHARS = 2000

_LOCK_JOB = text("SELECT 1 FROM jobs WHERE id = (SELECT job_id FROM shards WHERE id = :id) FOR SHARE")
# Named one by one, as in rprm_jobs.store.jobs.jobs.
_COLUMNS = (
    "id, job_id, queue, priority, attempt, owner, engine, claimed_at, failures, round, extension, first_ord, last_ord"
)
_LOCK_LAPSED = text(
    f"SELECT {_COLUMNS} FROM shards WHERE id = :id AND state = 'leased' AND lease_until < now() FOR UPDATE SKIP LOCKED"
)
_LOCK_HELD = text(
    f"SELECT {_COLUMNS} FROM shards"
    " WHERE id = :id AND attempt = :attempt AND owner = :owner AND state = 'leased' FOR UPDATE"
)
_LOCK_OWNED = text(f"SELECT {_COLUMNS} FROM shards WHERE id = :id AND owner = :owner AND state = 'leased' FOR UPDATE")
_OWNED = text("SELECT id FROM shards WHERE state = 'leased' AND owner = :owner ORDER BY id")
# While Postgres was down nobody could renew: after it starts, workers get time to renew before anything lapses.
_LAPSED = text(
    "SELECT id FROM shards WHERE state = 'leased' AND lease_until < now()"
    f" AND {UP_SINCE} <= now() - make_interval(secs => :after_start_s)"
    " ORDER BY lease_until LIMIT :limit"
)
_READY = text(
    "UPDATE shards SET state = 'ready', owner = NULL, lease_until = NULL, rung_at = NULL, failures = :failures,"
    " last_ord = :last, error = :error WHERE id = :id"
)
_DONE = text(
    "UPDATE shards SET state = 'done', owner = NULL, lease_until = NULL, finished_at = now(), failures = :failures,"
    " error = :error, n_ok = n_ok + :ok, n_quarantined = n_quarantined + :quarantined,"
    " steps_done = steps_done + :steps WHERE id = :id"
)
_SIBLING = text(
    "INSERT INTO shards (job_id, queue, priority, round, extension, first_ord, last_ord, failures, error)"
    " VALUES (:job_id, :queue, :priority, :round, :extension, :first, :last, :failures, :error)"
)


@dataclass(frozen=True, slots=True)
class Settlement:
    """What was done with a failed shard: `again`, `split`, `quarantined`, `kept` or `done` (all of it was recorded).

    `engine died` and `handed back` (the attempt had recorded something): ready again, with no failure counted.
    `kept`: the last solution has an outcome from before an extension, which stands.
    """

    shard_id: int
    job_id: int
    outcome: str


def lapsed(connection: Connection, limit: int = 100, *, after_start_s: float = 0.0) -> list[int]:
    """Ids of shards whose lease has run out; none within `after_start_s` seconds of Postgres's start."""
    return list(connection.execute(_LAPSED, {"limit": limit, "after_start_s": after_start_s}).scalars())


def fail_lapsed(connection: Connection, shard_id: int) -> Settlement | None:
    """Take the shard from a holder that fell silent. None when it was renewed, finished or is being written."""
    # The job's row first, as cancel does: a shard that splits while its job is cancelled would leave a live half.
    connection.execute(_LOCK_JOB, {"id": shard_id})
    row = connection.execute(_LOCK_LAPSED, {"id": shard_id}).one_or_none()
    if row is None:
        return None
    return _settle(connection, row, f"the worker {row.owner} fell silent")


def owned(connection: Connection, owner: str) -> list[int]:
    """Ids of the shards that this worker has leased."""
    return list(connection.execute(_OWNED, {"owner": owner}).scalars())


def fail_owned(connection: Connection, shard_id: int, owner: str) -> Settlement | None:
    """Take the shard from a holder that died, before its lease has run out. None when it no longer holds it."""
    connection.execute(_LOCK_JOB, {"id": shard_id})
    row = connection.execute(_LOCK_OWNED, {"id": shard_id, "owner": owner}).one_or_none()
    return None if row is None else _settle(connection, row, f"the worker {owner} died")


def fail_held(connection: Connection, lease: Lease, error: str) -> Settlement | None:
    """The holder reports that its attempt failed. None when it no longer held the shard."""
    connection.execute(_LOCK_JOB, {"id": lease.shard_id})
    key = {"id": lease.shard_id, "attempt": lease.attempt, "owner": lease.owner}
    row = connection.execute(_LOCK_HELD, key).one_or_none()
    return None if row is None else _settle(connection, row, error)


def engine_died(connection: Connection, lease: Lease, error: str, *, progress: bool) -> Settlement | None:
    """The engine died during the attempt; `progress`: after the attempt had recorded something. None when not held.

    The shard is handed back uncounted. Where engines keep dying on the same solutions without any result, one of these
    may be the cause: from then on each death is counted like any other failure.
    """
    connection.execute(_LOCK_JOB, {"id": lease.shard_id})
    key = {"id": lease.shard_id, "attempt": lease.attempt, "owner": lease.owner}
    row = connection.execute(_LOCK_HELD, key).one_or_none()
    if row is None:
        return None
    if not progress and attempts.count(connection, row, ENGINE_DIED) >= MAX_ENGINE_DEATHS:
        return _settle(connection, row, error)
    reason, outcome = storable(error)[:_MAX_ERROR_CHARS], HANDED_BACK if progress else ENGINE_DIED
    values = {"id": row.id, "failures": row.failures, "last": row.last_ord}
    connection.execute(_READY, {**values, "error": storable(f"attempt {row.attempt}: {error}")[:_MAX_ERROR_CHARS]})
    attempts.add(connection, row, reason, outcome)
    return Settlement(row.id, row.job_id, outcome)


def _settle(connection: Connection, shard: Row[Any], reason: str) -> Settlement:
    error = storable(f"attempt {shard.attempt}: {reason}")[:_MAX_ERROR_CHARS]
    failures = shard.failures + 1
    left = _unfinished(connection, shard)
    change: dict[str, Any] = {"id": shard.id, "failures": failures, "error": error}
    if not left:
        connection.execute(_DONE, {**change, "ok": 0, "quarantined": 0, "steps": 0})
        outcome = "done"
    elif failures < (MAX_FAILURES if len(left) > 1 else MAX_FAILURES_ALONE):
        connection.execute(_READY, {**change, "last": shard.last_ord})
        outcome = "again"
    elif len(left) > 1:
        _split(connection, shard, left, change)
        outcome = "split"
    elif _keep(connection, shard, left[0], change):
        outcome = "kept"
    else:
        _quarantine(connection, shard, left[0], change)
        outcome = "quarantined"
    attempts.add(connection, shard, storable(reason)[:_MAX_ERROR_CHARS], outcome)
    return Settlement(shard.id, shard.job_id, outcome)


def _unfinished(connection: Connection, shard: Row[Any]) -> list[int]:
    query = text(
        f"SELECT ord FROM {partition('solutions', shard.job_id)} AS s WHERE ord BETWEEN :first AND :last AND NOT EXISTS"
        f" (SELECT 1 FROM {partition('scores', shard.job_id)} AS r WHERE r.ord = s.ord AND r.extension >= :extension)"
        " ORDER BY ord"
    )
    values = {"first": shard.first_ord, "last": shard.last_ord, "extension": shard.extension}
    return list(connection.execute(query, values).scalars())


def _split(connection: Connection, shard: Row[Any], left: list[int], change: dict[str, Any]) -> None:
    middle = left[len(left) // 2]
    failures = MAX_FAILURES - 1
    connection.execute(_READY, {**change, "failures": failures, "last": middle - 1})
    crash_point("split.between")
    connection.execute(
        _SIBLING,
        {
            "job_id": shard.job_id,
            "queue": shard.queue,
            "priority": shard.priority,
            "round": shard.round,
            "extension": shard.extension,
            "first": middle,
            "last": shard.last_ord,
            "failures": failures,
            "error": change["error"],
        },
    )


def _keep(connection: Connection, shard: Row[Any], ord_: int, change: dict[str, Any]) -> bool:
    """Let an earlier reward of the solution stand, with the reason why it has no more critiques; False without one."""
    reasons = {ord_: change["error"]}
    kept = keep_earlier(
        connection, shard.job_id, reasons, shard_id=shard.id, attempt=shard.attempt, generation=shard.extension
    )
    for steps in kept.values():
        connection.execute(_DONE, {**change, "ok": 1, "quarantined": 0, "steps": steps})
    return bool(kept)


def _quarantine(connection: Connection, shard: Row[Any], ord_: int, change: dict[str, Any]) -> None:
    solution = connection.execute(
        text(f"SELECT n_steps, judge_steps FROM {partition('solutions', shard.job_id)} WHERE ord = :ord"),
        {"ord": ord_},
    ).one()
    judged = range(solution.n_steps) if solution.judge_steps is None else solution.judge_steps
    for table in ("scores", "verdicts", "critiques"):
        # Critiques without a reward from before an extension.
        old = text(f"DELETE FROM {partition(table, shard.job_id)} WHERE ord = :ord")
        connection.execute(old, {"ord": ord_})
    connection.execute(
        text(
            f"""
            INSERT INTO {partition("scores", shard.job_id)}
              (job_id, ord, status, reason, rewards, critiques_per_step, by_votes, shard_id, attempt, extension)
            VALUES (:job_id, :ord, 'quarantined', :error, :rewards, :counts, FALSE, :id, :attempt, :extension)"""
        ),
        {
            "job_id": shard.job_id,
            "ord": ord_,
            "error": change["error"],
            "rewards": [None] * solution.n_steps,
            "counts": [0 if step in judged else None for step in range(solution.n_steps)],
            "id": shard.id,
            "attempt": shard.attempt,
            "extension": shard.extension,
        },
    )
    connection.execute(_DONE, {**change, "ok": 0, "quarantined": 1, "steps": len(judged)})
