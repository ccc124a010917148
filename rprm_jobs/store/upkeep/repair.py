"""Repairing what the audit finds: outcomes that cannot be trusted are dropped, solutions without one are queued again.

Nothing is invented: a solution is judged anew, by the job's own recipe and seeds. Shards that a worker holds are left
alone, since their holder would write past the repair; the fence keeps everyone else out while it runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.crash import crash_point
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.schema.partitions import partition, tables_of
from rprm_jobs.store.training import sets
from rprm_jobs.store.upkeep.audit import filled, outcome_checks, sets_broken


@dataclass(frozen=True, slots=True)
class Repaired:
    """`dropped` outcomes were not to be trusted, `requeued` solutions are judged again; `shards` changed for that.

    `orphans` are rows that belonged to nothing.
    """

    dropped: int
    requeued: int
    shards: int
    orphans: int


def repair(connection: Connection, job_id: int) -> Repaired:
    """Repair the job in one transaction; of a cancelled job only the live shards are ended.

    Raises NotFound, and Conflict where outcomes would go whose critiques a training set may hold, or where a set has
    lost what it was built of: judged again the critiques would be others than it chose.
    """
    jobs.get(connection, job_id)
    connection.execute(text("SELECT 1 FROM jobs WHERE id = :job FOR UPDATE"), {"job": job_id})
    job = jobs.get(connection, job_id)
    if job.cancelled_at is not None:
        ended = text(
            "UPDATE shards SET state = 'cancelled', owner = NULL, lease_until = NULL"
            " WHERE job_id = :job AND state IN ('ready', 'leased')"
        )
        return Repaired(0, 0, connection.execute(ended, {"job": job_id}).rowcount, 0)
    connection.execute(
        text("SELECT 1 FROM shards WHERE job_id = :job AND state <> 'leased' ORDER BY id FOR UPDATE"), {"job": job_id}
    )
    _trim(connection, job_id)
    bulk = tuple(table.name for table in tables_of(job.kind))
    untrusted = _untrusted(connection, job_id, job.recipe)
    if untrusted:
        sets.refuse_used(connection, job_id, "the repair would throw away critiques that")
    if sets_broken(connection, job_id, job.recipe):
        sets.refuse_used(connection, job_id, "something is gone, and not to be made again, that")
    dropped = _drop_outcomes(connection, job_id, untrusted, bulk)
    orphans = _drop_orphans(connection, job_id)
    made = _cover(connection, job_id)
    reopened = connection.execute(_reopen(job_id), {"job": job_id}).rowcount
    _count_again(connection, job_id)
    crash_point("repair.before-commit")
    return Repaired(dropped, _without_outcome(connection, job_id), made + reopened, orphans)


def _trim(connection: Connection, job_id: int) -> None:
    """Where two shards hold a solution it stays with the first; a shard that is left with none goes."""
    overlap = """
        FROM (SELECT id, max(last_ord) OVER (ORDER BY first_ord, id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
              AS reached FROM shards WHERE job_id = :job) AS o
        WHERE h.id = o.id AND h.first_ord <= o.reached AND h.job_id = :job AND h.state <> 'leased'"""
    gone = f"DELETE FROM shards AS h USING {overlap.strip().removeprefix('FROM')} AND h.last_ord <= o.reached"
    connection.execute(text(gone), {"job": job_id})
    connection.execute(text(f"UPDATE shards AS h SET first_ord = o.reached + 1 {overlap}"), {"job": job_id})


def _untrusted(connection: Connection, job_id: int, recipe: Recipe) -> list[int]:
    """Solutions with an outcome that some check names, and that no worker has in hand."""
    found: set[int] = set()
    for query in outcome_checks(recipe).values():
        statement, values = filled(query, job_id, recipe)
        in_hand = (
            "SELECT 1 FROM shards AS h WHERE h.job_id = :job AND h.state = 'leased'"
            " AND f.ord BETWEEN h.first_ord AND h.last_ord"
        )
        query_ = text(f"SELECT DISTINCT ord FROM ({statement}) AS f WHERE NOT EXISTS ({in_hand})")
        found.update(connection.execute(query_, {**values, "job": job_id}).scalars())
    return sorted(found)


def _drop_outcomes(connection: Connection, job_id: int, ords: list[int], bulk: Sequence[str]) -> int:
    gone = {
        table: connection.execute(
            text(f"DELETE FROM {partition(table, job_id)} WHERE ord = ANY(:ords)"), {"ords": ords}
        ).rowcount
        for table in bulk
        if table != "solutions"
    }
    return gone["scores"]


def _drop_orphans(connection: Connection, job_id: int) -> int:
    """Critiques without an outcome: the next record of their solution would stumble over them."""
    scores = f"SELECT 1 FROM {partition('scores', job_id)} AS r WHERE r.ord = t.ord"
    return sum(
        connection.execute(text(f"DELETE FROM {partition(table, job_id)} AS t WHERE NOT EXISTS ({scores})")).rowcount
        for table in ("verdicts", "critiques")
    )


def _cover(connection: Connection, job_id: int) -> int:
    """New shards for solutions that are in none: one for each run of them."""
    query = text(
        f"""
        WITH bare AS (
          SELECT ord, ord - row_number() OVER (ORDER BY ord) AS run FROM {partition("solutions", job_id)} AS s
          WHERE NOT EXISTS (
            SELECT 1 FROM shards AS h WHERE h.job_id = :job AND s.ord BETWEEN h.first_ord AND h.last_ord))
        INSERT INTO shards (job_id, queue, priority, first_ord, last_ord, extension)
        SELECT j.id, j.queue, j.priority, min(b.ord), max(b.ord),
               coalesce((SELECT max(extension) FROM shards WHERE job_id = :job), 0)
        FROM bare AS b, jobs AS j WHERE j.id = :job GROUP BY b.run, j.id"""
    )
    return connection.execute(query, {"job": job_id}).rowcount


def _reopen(job_id: int) -> Any:
    return text(
        f"""
        UPDATE shards AS h SET state = 'ready', failures = 0, rung_at = NULL, finished_at = NULL, error = NULL
        WHERE h.job_id = :job AND h.state IN ('done', 'cancelled') AND EXISTS (
          SELECT 1 FROM {partition("solutions", job_id)} AS s
          WHERE s.ord BETWEEN h.first_ord AND h.last_ord AND NOT EXISTS (
            SELECT 1 FROM {partition("scores", job_id)} AS r WHERE r.ord = s.ord AND r.extension >= h.extension))"""
    )


def _count_again(connection: Connection, job_id: int) -> None:
    query = text(
        f"""
        UPDATE shards AS h SET n_ok = c.ok, n_failed = c.failed, n_quarantined = c.quarantined, steps_done = c.steps
        FROM (
          SELECT h.id, count(*) FILTER (WHERE r.status = 'ok') AS ok,
                 count(*) FILTER (WHERE r.status = 'failed') AS failed,
                 count(*) FILTER (WHERE r.status = 'quarantined') AS quarantined,
                 coalesce(sum(cardinality(array_remove(r.critiques_per_step, NULL))), 0) AS steps
          FROM shards AS h
          LEFT JOIN {partition("scores", job_id)} AS r ON r.shard_id = h.id AND r.extension = h.extension
          WHERE h.job_id = :job GROUP BY h.id) AS c
        WHERE h.id = c.id AND h.state <> 'leased'"""
    )
    connection.execute(query, {"job": job_id})


def _without_outcome(connection: Connection, job_id: int) -> int:
    query = text(
        f"""
        SELECT count(*) FROM {partition("solutions", job_id)} AS s
        JOIN shards AS h ON h.job_id = :job AND h.state = 'ready' AND s.ord BETWEEN h.first_ord AND h.last_ord
        WHERE NOT EXISTS (
          SELECT 1 FROM {partition("scores", job_id)} AS r WHERE r.ord = s.ord AND r.extension >= h.extension)"""
    )
    return int(connection.execute(query, {"job": job_id}).scalar_one())
