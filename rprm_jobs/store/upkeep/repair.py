"""Repairing what the audit finds: outcomes that cannot be trusted are dropped, solutions without one are queued again.

Nothing is invented: a solution is judged anew, by the job's own recipe and seeds. What is wrong is read in a snapshot
that locks nothing; it is changed in batches, each a short transaction. A repair that is killed is given again.
"""

from __future__ import annotations

from dataclasses import dataclass

from rprm_jobs.store.jobs import batches, extensions, jobs
from rprm_jobs.store.records import Job
from rprm_jobs.store.session import Database
from rprm_jobs.store.upkeep import damage
from rprm_jobs.store.upkeep.damage import Damage


@dataclass(frozen=True, slots=True)
class Repaired:
    """`dropped` outcomes were not to be trusted, `requeued` solutions are judged again; `shards` changed for that.

    `orphans` are rows that belonged to nothing.
    """

    dropped: int
    requeued: int
    shards: int
    orphans: int


def repair(database: Database, job_id: int) -> Repaired:
    """Repair the job; of a cancelled job only the live shards are ended.

    Raises NotFound; Conflict where outcomes would go whose critiques a training set may hold, or where a set has lost
    what it was built of.
    """
    with database.transaction() as connection:
        ended = damage.end_cancelled(connection, job_id)
    if ended is not None:
        return Repaired(0, 0, ended, 0)
    extensions.finish_cancelled(database, job_id)
    with database.transaction() as connection:
        new_shards, covered = damage.repair_shards(connection, job_id)
    with database.snapshot() as connection:
        job = jobs.get(connection, job_id)
        job_damage = damage.read_damage(connection, job)
    dropped, requeued, reopened = _repair_batches(database, job_id, job_damage)
    strays, orphans = _drop_orphans(database, job, job_damage)
    _correct_counters(database, job_id)
    return Repaired(dropped + strays, covered + requeued, new_shards + reopened, orphans)


def _repair_batches(database: Database, job_id: int, job_damage: Damage) -> tuple[int, int, int]:
    dropped = requeued = reopened = 0
    after = -1
    while True:
        with database.transaction() as connection:
            batch = damage.repair_batch(connection, job_id, job_damage, after)
        if batch is None:
            return dropped, requeued, reopened
        dropped, requeued, reopened = dropped + batch.dropped, requeued + batch.requeued, reopened + batch.shards
        after = batch.after


def _drop_orphans(database: Database, job: Job, job_damage: Damage) -> tuple[int, int]:
    outcomes = rows = 0
    for start in range(0, len(job_damage.orphans), damage.ORDS):
        with database.transaction() as connection:
            dropped = damage.drop_orphans(connection, job, job_damage.orphans[start : start + damage.ORDS])
        outcomes, rows = outcomes + dropped[0], rows + dropped[1]
    return outcomes, rows


def _correct_counters(database: Database, job_id: int) -> None:
    with database.snapshot() as connection:
        changes = damage.wrong_counters(connection, job_id)
    for start in range(0, len(changes), batches.SHARDS):
        with database.transaction() as connection:
            batches.add_counts(connection, changes[start : start + batches.SHARDS])
