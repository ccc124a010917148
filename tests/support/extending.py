"""A finished job of the scripted judge, extended and worked on."""

from __future__ import annotations

from rprm_jobs.store.jobs import extensions, jobs
from rprm_jobs.store.records import Lease
from rprm_jobs.store.session import Database
from rprm_jobs.store.upkeep import audit
from tests.support.jobs import make_solutions, take_in
from tests.support.store import (
    claim,
    finish,
    judge_on,
    load,
    record,
    run,
    work_off_all,
)


def extend(database: Database, job: int, k: int) -> None:
    """Extend the job to `k` critiques a step."""
    extensions.extend(database, job, k)


def clean(database: Database, job: int) -> bool:
    """Whether the audit finds nothing."""
    with database.transaction() as connection:
        return audit.audit(connection, jobs.get(connection, job)) == []


def verdicts(database: Database, job: int) -> list[tuple[object, ...]]:
    """All verdicts of the job, in order."""
    query = f"SELECT ord, step, k, verdict, p_yes, tokens FROM verdicts_j{job} ORDER BY ord, step, k"
    return [tuple(row) for row in run(database, query)]


def work_on(database: Database, lease: Lease, k: int) -> None:
    """Judge the shard on, to `k` critiques a step, and finish it."""
    record(database, lease, [judge_on(s, k=k) for s in load(database, lease)])
    finish(database, lease)


def finished(database: Database, n: int = 4, shard: int = 2) -> int:
    """A job of `n` solutions, judged."""
    job = take_in(database, make_solutions(n), shard=shard, dedupe=True).job_id
    work_off_all(database)
    return job


def next_lease(database: Database) -> Lease | None:
    """The next ready shard, claimed; None when there is none."""
    return claim(database) if run(database, "SELECT 1 FROM shards WHERE state = 'ready'") else None
