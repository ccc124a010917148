"""The single steps of a repair (rprm_jobs.store.upkeep.repair): finding the damage, and undoing some of it.

Shards that a worker holds are left alone, since their holder would write past the repair; the locks of a batch keep
everyone else out while it runs.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.crash import crash_point
from rprm_jobs.store.jobs import batches, jobs
from rprm_jobs.store.jobs.batches import Batch
from rprm_jobs.store.jobs.retries import drop_outcomes
from rprm_jobs.store.records import Job
from rprm_jobs.store.schema.partitions import partition
from rprm_jobs.store.training import sets
from rprm_jobs.store.upkeep.audit import filled, outcome_checks, sets_broken

# Of so many orphaned solutions are rows dropped in one transaction.
ORDS = 5000
# Rows of the first table belong to a row of the second, by `ord`.
_OWNERS = {"scores": "solutions", "verdicts": "scores", "critiques": "scores"}
_REOPEN = text(
    "UPDATE shards SET state = 'ready', failures = 0, rung_at = NULL, finished_at = NULL, error = NULL"
    " WHERE id = ANY(:ids) AND state IN ('done', 'cancelled')"
)


@dataclass(frozen=True, slots=True)
class Damage:
    """What was wrong at one moment: `untrusted` solutions have an outcome that some check names; both lists ascend.

    `orphans`: ords with an outcome but no solution, or with critiques but no outcome.
    """

    untrusted: Sequence[int]
    orphans: Sequence[int]


@dataclass(frozen=True, slots=True)
class RepairedBatch:
    """What one batch of shards changed; the next batch begins `after` this ord."""

    dropped: int
    requeued: int
    shards: int
    after: int


def end_cancelled(connection: Connection, job_id: int) -> int | None:
    """Of a cancelled job, end the live shards; returns how many. None when the job is not cancelled."""
    return None if jobs.lock(connection, job_id) is None else jobs.end_live_shards(connection, job_id)


def read_damage(connection: Connection, job: Job) -> Damage:
    """Look for outcomes and rows to drop; the caller gives a snapshot.

    Raises Conflict where a set has lost what it was built of: judged again the critiques would be others than it chose.
    """
    if sets_broken(connection, job):
        sets.refuse_used(connection, job.id, "critiques or verdicts are gone")
    untrusted: set[int] = set()
    for query in outcome_checks(job.recipe).values():
        statement, values = filled(query, job)
        untrusted.update(connection.execute(text(f"SELECT DISTINCT ord FROM ({statement}) AS f"), values).scalars())
    orphans: set[int] = set()
    for table, owner in _OWNERS.items():
        owned = f"SELECT 1 FROM {partition(owner, job.id)} AS r WHERE r.ord = t.ord"
        query = f"SELECT DISTINCT ord FROM {partition(table, job.id)} AS t WHERE NOT EXISTS ({owned})"
        orphans.update(connection.execute(text(query)).scalars())
    return Damage(sorted(untrusted), sorted(orphans))


def repair_shards(connection: Connection, job_id: int) -> tuple[int, int]:
    """Give every solution to one shard: where two hold it the first keeps it, new shards take those that none holds.

    Returns the number of new shards and of their solutions.
    """
    jobs.lock(connection, job_id)
    overlap = """
        FROM (SELECT id, max(last_ord) OVER (ORDER BY first_ord, id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
              AS reached FROM shards WHERE job_id = :job) AS o
        WHERE h.id = o.id AND h.first_ord <= o.reached AND h.job_id = :job AND h.state <> 'leased'"""
    covered = f"DELETE FROM shards AS h USING {overlap.strip().removeprefix('FROM')} AND h.last_ord <= o.reached"
    connection.execute(text(covered), {"job": job_id})
    connection.execute(text(f"UPDATE shards AS h SET first_ord = o.reached + 1 {overlap}"), {"job": job_id})
    rows = connection.execute(text(_cover(job_id)), {"job": job_id}).all()
    crash_point("repair.after-shards")
    return len(rows), sum(row.solutions for row in rows)


def _cover(job_id: int) -> str:
    # The gaps between shards are found from the shards alone; only what lies in a gap is looked up.
    return f"""
        WITH edges AS (
          SELECT first_ord, max(last_ord) OVER (ORDER BY first_ord ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
            AS reached
          FROM (SELECT first_ord, last_ord FROM shards WHERE job_id = :job
                UNION ALL SELECT max(ord) + 1, max(ord) + 1 FROM {partition("solutions", job_id)}) AS e
          WHERE first_ord IS NOT NULL),
        gaps AS (
          SELECT coalesce(reached, -1) + 1 AS first, first_ord - 1 AS last FROM edges
          WHERE first_ord > coalesce(reached, -1) + 1),
        bare AS (
          SELECT s.ord, s.ord - row_number() OVER (ORDER BY s.ord) AS run
          FROM gaps AS g CROSS JOIN LATERAL (
            SELECT ord FROM {partition("solutions", job_id)} WHERE ord BETWEEN g.first AND g.last OFFSET 0) AS s)
        INSERT INTO shards (job_id, queue, priority, first_ord, last_ord, extension)
        SELECT j.id, j.queue, j.priority, b.first, b.last,
               coalesce((SELECT max(extension) FROM shards WHERE job_id = :job), 0)
        FROM (SELECT min(ord) AS first, max(ord) AS last FROM bare GROUP BY run) AS b, jobs AS j WHERE j.id = :job
        RETURNING last_ord - first_ord + 1 AS solutions"""


def repair_batch(connection: Connection, job_id: int, damage: Damage, after: int) -> RepairedBatch | None:
    """Drop the untrusted outcomes of the next shards, and reopen those that lack one; None after the last.

    Raises Conflict where outcomes would go whose critiques a training set may hold.
    """
    if jobs.lock(connection, job_id) is not None:
        return None
    kind = jobs.get(connection, job_id).kind
    batch = batches.next_batch(connection, job_id, after, "state <> 'leased'")
    if batch is None:
        return None
    untrusted = damage.untrusted
    within = untrusted[bisect_left(untrusted, batch.range["first"]) : bisect_right(untrusted, batch.range["last"])]
    dropped = batch.holders(within)
    if dropped:
        sets.refuse_used(connection, job_id, "the repair would throw away critiques")
        ords = [ord_ for held in dropped.values() for ord_ in held]
        n_dropped = drop_outcomes(connection, job_id, kind, batch, ords)
    else:
        n_dropped = 0
    lacking = batch.holders(_without_outcome(connection, job_id, batch))
    ended = {shard.id for shard in batch.shards if shard.state != "ready"}
    reopened = connection.execute(_REOPEN, {"ids": list(lacking)}).rowcount
    kept = "UPDATE shards SET state = 'done', finished_at = now() WHERE id = ANY(:ids) AND state = 'cancelled'"
    connection.execute(text(kept), {"ids": batch.ids})
    requeued = sum(len(held) for shard_id, held in lacking.items() if shard_id in ended or shard_id in dropped)
    crash_point("repair.between-batches")
    return RepairedBatch(n_dropped, requeued, reopened, batch.shards[-1].first_ord)


def _without_outcome(connection: Connection, job_id: int, batch: Batch) -> list[int]:
    """Solutions in the batch's range that have no outcome of the generation of the job's shards."""
    query = text(
        f"""
        SELECT ord FROM {partition("solutions", job_id)} AS s WHERE ord BETWEEN :first AND :last AND NOT EXISTS (
          SELECT 1 FROM {partition("scores", job_id)} AS r
          WHERE r.ord = s.ord AND r.ord BETWEEN :first AND :last AND r.extension >= :generation)
        ORDER BY ord"""
    )
    generation = max(shard.extension for shard in batch.shards)
    return list(connection.execute(query, {**batch.range, "generation": generation}).scalars())


def drop_orphans(connection: Connection, job: Job, ords: Sequence[int]) -> tuple[int, int]:
    """Drop rows that belong to nothing: the next record of their solution would stumble over them.

    Returns how many outcomes and how many other rows there were.
    """
    jobs.lock(connection, job.id)
    dropped = {}
    for table, owner in _OWNERS.items():
        owned = f"SELECT 1 FROM {partition(owner, job.id)} AS r WHERE r.ord = t.ord AND r.ord = ANY(:ords)"
        query = f"DELETE FROM {partition(table, job.id)} AS t WHERE ord = ANY(:ords) AND NOT EXISTS ({owned})"
        dropped[table] = connection.execute(text(query), {"ords": list(ords)}).rowcount
    return dropped["scores"], dropped["verdicts"] + dropped["critiques"]


def wrong_counters(connection: Connection, job_id: int) -> list[tuple[int, int, int, int, int]]:
    """What to add to the counters of shards so that they count their outcomes, as `batches.add_counts` takes it.

    A difference stays right while workers record on, so a snapshot of any age will do.
    """
    query = text(
        f"""
        SELECT id, ok - n_ok AS ok, failed - n_failed AS failed, quarantined - n_quarantined AS quarantined,
               steps - steps_done AS steps
        FROM (
          SELECT h.id, h.n_ok, h.n_failed, h.n_quarantined, h.steps_done, coalesce(c.ok, 0) AS ok,
                 coalesce(c.failed, 0) AS failed, coalesce(c.quarantined, 0) AS quarantined,
                 coalesce(c.steps, 0) AS steps
          FROM shards AS h LEFT JOIN (
            SELECT shard_id, extension, count(*) FILTER (WHERE status = 'ok') AS ok,
                   count(*) FILTER (WHERE status = 'failed') AS failed,
                   count(*) FILTER (WHERE status = 'quarantined') AS quarantined,
                   coalesce(sum(cardinality(array_remove(critiques_per_step, NULL))), 0) AS steps
            FROM {partition("scores", job_id)} GROUP BY shard_id, extension) AS c
          ON c.shard_id = h.id AND c.extension = h.extension
          WHERE h.job_id = :job) AS counted
        WHERE (ok, failed, quarantined, steps) <> (n_ok, n_failed, n_quarantined, steps_done)"""
    )
    return [tuple(row) for row in connection.execute(query, {"job": job_id})]
