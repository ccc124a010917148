"""Which workers are alive, and which ready shards they should be notified of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.engine import EngineStats
from rprm_jobs.store.queue.uptime import UP_SINCE
from rprm_jobs.store.records import Trouble, WorkerInfo
from rprm_jobs.store.texts import storable

# A worker sends a heartbeat with every renewal of its leases; after this many seconds without one it is not counted.
SILENT_AFTER_S = 60.0
_MAX_TROUBLE_CHARS = 1000
_ANNOUNCED = ("id", "queue", "judge", "engine", "host", "pid", "slots", "log")
_SWEEP_LOCK = 0x5250524D  # "RPRM"


@dataclass(frozen=True, slots=True)
class Ready:
    """A ready shard that no worker was notified of lately."""

    shard_id: int
    queue: str


def announce(connection: Connection, worker: WorkerInfo, *, lock_key: int | None = None) -> None:
    """Enter the worker, or renew its entry. `lock_key`: the lock that it holds while it lives, if it has one."""
    connection.execute(
        text(
            """
            INSERT INTO workers (id, queue, judge, engine, host, pid, slots, log, lock_key)
            VALUES (:id, :queue, :judge, :engine, :host, :pid, :slots, :log, :lock_key)
            ON CONFLICT (id) DO UPDATE SET seen_at = now(), lock_key = excluded.lock_key"""
        ),
        {
            **{name: getattr(worker, name) for name in _ANNOUNCED},
            "lock_key": lock_key,
        },
    )


def show_lock(connection: Connection, worker_id: str, lock_key: int | None) -> bool:
    """Write down the lock that the worker holds; False where that lock cannot be seen from this connection."""
    query = text(
        "UPDATE workers SET seen_at = now(), lock_key = :key WHERE id = :id"
        " AND (CAST(:key AS bigint) IS NULL OR NOT pg_try_advisory_xact_lock(:key))"
    )
    return connection.execute(query, {"id": worker_id, "key": lock_key}).rowcount == 1


def without_lock(connection: Connection, *, after_start_s: float) -> dict[str, tuple[int, datetime]]:
    """Workers whose lock is free: the lock and the last heartbeat of each, by its id.

    None within the first `after_start_s` seconds of Postgres's life, which all locks have ended with.
    """
    query = text(
        f"""
        SELECT id, lock_key, seen_at FROM workers
        WHERE lock_key IS NOT NULL AND {UP_SINCE} <= now() - make_interval(secs => :after_start_s)
          AND pg_try_advisory_xact_lock(lock_key)"""
    )
    rows = connection.execute(query, {"after_start_s": after_start_s})
    return {row.id: (row.lock_key, row.seen_at) for row in rows}


def heartbeat(connection: Connection, worker_id: str, stats: EngineStats, trouble: Trouble | None = None) -> None:
    """Store the heartbeat, with what the engine has done so far and what the worker cannot do at the moment."""
    connection.execute(
        text(
            "UPDATE workers SET seen_at = now(), prompt_tokens = :prompt, generated_tokens = :generated,"
            " prefix_hit_rate = :hit, trouble = :trouble, trouble_since = :since WHERE id = :id"
        ),
        {
            "id": worker_id,
            "prompt": stats.prompt_tokens,
            "generated": stats.generated_tokens,
            "hit": stats.prefix_hit_rate,
            "trouble": None if trouble is None else storable(trouble.what)[:_MAX_TROUBLE_CHARS],
            "since": None if trouble is None else trouble.since,
        },
    )


def swept(connection: Connection, worker_id: str) -> None:
    """Store that the worker has just swept."""
    connection.execute(text("UPDATE workers SET swept_at = now() WHERE id = :id"), {"id": worker_id})


def leave(connection: Connection, worker_id: str) -> None:
    """Remove the entry of a worker that stopped in good order."""
    connection.execute(text("DELETE FROM workers WHERE id = :id"), {"id": worker_id})


def alive(connection: Connection, queue: str | None = None) -> list[WorkerInfo]:
    """Workers with a recent heartbeat, of one queue or of all."""
    rows = connection.execute(
        text(
            """
            SELECT id, queue, judge, engine, host, pid, slots, started_at,
                   extract(epoch FROM now() - seen_at)::float8 AS silent_s, prompt_tokens, generated_tokens,
                   prefix_hit_rate, swept_at, trouble, trouble_since, log
            FROM workers
            WHERE seen_at > now() - make_interval(secs => :silent)
              AND (CAST(:queue AS text) IS NULL OR queue = :queue)
            ORDER BY started_at"""
        ),
        {"silent": SILENT_AFTER_S, "queue": queue},
    ).mappings()
    return [_worker_info(dict(row)) for row in rows]


def _worker_info(row: dict[str, Any]) -> WorkerInfo:
    what, since = row.pop("trouble"), row.pop("trouble_since")
    return WorkerInfo(**row, trouble=None if what is None else Trouble(what, since))


def held_shards(connection: Connection, worker_ids: Sequence[str]) -> dict[str, dict[int, int]]:
    """How many shards of which jobs each of these workers works on, by worker and job."""
    query = text(
        "SELECT owner, job_id, count(*) AS shards FROM shards WHERE state = 'leased' AND owner = ANY(:ids)"
        " GROUP BY owner, job_id ORDER BY owner, job_id"
    )
    held: dict[str, dict[int, int]] = {}
    for row in connection.execute(query, {"ids": list(worker_ids)}):
        held.setdefault(row.owner, {})[row.job_id] = row.shards
    return held


def last_sweep(connection: Connection) -> datetime | None:
    """When a worker that is still entered swept last; None when none has."""
    swept_at: datetime | None = connection.execute(text("SELECT max(swept_at) FROM workers")).scalar_one()
    return swept_at


def forget_silent(connection: Connection) -> None:
    """Remove workers that have been silent for a day."""
    connection.execute(text("DELETE FROM workers WHERE seen_at < now() - interval '1 day'"))


def try_sweep_lock(connection: Connection) -> bool:
    """Become the one sweeper of this database until the transaction ends; False when another is."""
    query = text("SELECT pg_try_advisory_xact_lock(:key)")
    return bool(connection.execute(query, {"key": _SWEEP_LOCK}).scalar_one())


def to_notify(connection: Connection, queue: str, *, limit: int, again_after_s: float) -> list[Ready]:
    """Mark and return the most urgent ready shards of the queue that nobody was notified of lately."""
    rows = connection.execute(
        text(
            """
            WITH quiet AS (
              SELECT id FROM shards
              WHERE queue = :queue AND state = 'ready'
                AND (rung_at IS NULL OR rung_at < now() - make_interval(secs => :again))
              ORDER BY priority DESC, id LIMIT :limit FOR UPDATE SKIP LOCKED)
            UPDATE shards AS s SET rung_at = now() FROM quiet WHERE s.id = quiet.id RETURNING s.id, s.queue"""
        ),
        {"queue": queue, "limit": limit, "again": again_after_s},
    )
    return [Ready(row.id, row.queue) for row in rows]


def waiting_queues(connection: Connection) -> dict[str, int]:
    """Queues with ready shards and workers that are alive, and how many slots those workers have."""
    rows = connection.execute(
        text(
            """
            SELECT w.queue, sum(w.slots)::int AS slots FROM workers AS w
            WHERE w.seen_at > now() - make_interval(secs => :silent)
              AND EXISTS (SELECT 1 FROM shards AS s WHERE s.queue = w.queue AND s.state = 'ready')
            GROUP BY w.queue"""
        ),
        {"silent": SILENT_AFTER_S},
    )
    return {row.queue: row.slots for row in rows}
