"""How much work waits for each judge, for how long, and what the shards add up to: the numbers behind `/metrics`.

`waiting` reads the partial indexes of ready and leased shards and costs milliseconds however many are done; `stored`
reads every shard, so its caller keeps the answer for a while.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.engine import Connection


@dataclass(frozen=True, slots=True)
class Waiting:
    """The live shards of one judge. `oldest_s`: seconds since the ready shard that waits longest was last touched.

    `lapsed` of the leased shards have a lease that ran out. `oldest_s` is None where no shard is ready.
    """

    judge: str
    ready: int
    leased: int
    lapsed: int
    oldest_s: float | None


@dataclass(frozen=True, slots=True)
class Stored:
    """What all shards of one judge add up to: finished and cancelled shards, solutions by outcome, and their work."""

    judge: str
    done: int
    cancelled: int
    ok: int
    failed: int
    quarantined: int
    steps: int
    critiques: int
    tokens: int


# From job to job along ix_shards_in_turn: a step for each job with a ready shard, however many shards it has. Of a job
# its first ready shard stands for all. An extended job waits since its extension, a shard since its last claim.
_WAITING = text(
    """
    WITH RECURSIVE first AS (
      (SELECT queue, job_id, id FROM shards WHERE state = 'ready' ORDER BY queue, job_id, id LIMIT 1)
      UNION ALL
      SELECT later.* FROM first CROSS JOIN LATERAL (
        SELECT queue, job_id, id FROM shards
        WHERE state = 'ready' AND (queue, job_id) > (first.queue, first.job_id)
        ORDER BY queue, job_id, id LIMIT 1) AS later),
    oldest AS (
      SELECT first.queue, max(j.judge) AS judge, min(greatest(
        j.created_at, (j.extension ->> 'begun_at')::timestamptz, s.claimed_at, s.finished_at)) AS since
      FROM first JOIN shards AS s ON s.id = first.id JOIN jobs AS j ON j.id = first.job_id GROUP BY first.queue),
    ready AS (SELECT queue, count(*) AS n FROM shards WHERE state = 'ready' GROUP BY queue),
    leased AS (
      SELECT j.judge, count(*) AS n, count(*) FILTER (WHERE s.lease_until < now()) AS lapsed
      FROM shards AS s JOIN jobs AS j ON j.id = s.job_id WHERE s.state = 'leased' GROUP BY j.judge)
    SELECT judge, sum(ready)::bigint AS ready, sum(leased)::bigint AS leased, sum(lapsed)::bigint AS lapsed,
           max(oldest_s) AS oldest_s
    FROM (
      SELECT judge, n AS ready, 0 AS leased, 0 AS lapsed, extract(epoch FROM now() - since)::float8 AS oldest_s
      FROM ready JOIN oldest USING (queue)
      UNION ALL SELECT judge, 0, n, lapsed, NULL FROM leased) AS live
    GROUP BY judge ORDER BY judge"""
)
_STORED = text(
    """
    SELECT j.judge, sum(done)::bigint AS done, sum(cancelled)::bigint AS cancelled, sum(ok)::bigint AS ok,
           sum(failed)::bigint AS failed, sum(quarantined)::bigint AS quarantined, sum(steps)::bigint AS steps,
           sum(critiques)::bigint AS critiques, sum(tokens)::bigint AS tokens
    FROM (
      SELECT job_id, count(*) FILTER (WHERE state = 'done') AS done,
             count(*) FILTER (WHERE state = 'cancelled') AS cancelled, sum(n_ok) AS ok, sum(n_failed) AS failed,
             sum(n_quarantined) AS quarantined, sum(steps_done) AS steps, sum(critiques_done) AS critiques,
             sum(tokens_done) AS tokens
      FROM shards GROUP BY job_id) AS of_job
    JOIN jobs AS j ON j.id = of_job.job_id GROUP BY j.judge ORDER BY j.judge"""
)


def waiting(connection: Connection) -> list[Waiting]:
    """Judges with ready or leased shards, by name."""
    return [Waiting(**row) for row in connection.execute(_WAITING).mappings()]


def stored(connection: Connection) -> list[Stored]:
    """Judges with shards, by name. Reads the whole table of shards."""
    return [Stored(**row) for row in connection.execute(_STORED).mappings()]
