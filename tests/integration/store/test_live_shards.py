"""Shards of live jobs: small while workers keep up, larger where more wait than workers can take."""

from __future__ import annotations

import pytest

from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs import live
from rprm_jobs.services.upkeep.audit import audit
from rprm_jobs.store.session import Database
from tests.support import store
from tests.support.jobs import make_recipe, make_solutions

pytestmark = pytest.mark.integration
RECIPE = make_recipe()


def add(context: Context, first: int, count: int = 1, run: str = "r") -> int:
    """Hand in some solutions as one batch; the live job's id."""
    solutions = make_solutions(first + count)[first:]
    added = live.add(context, run, RECIPE, solutions)
    assert sorted(added.ords.values()) == list(range(first, first + count))
    return added.job_id


def sizes(database: Database, job_id: int) -> list[int]:
    return [shard.last_ord - shard.first_ord + 1 for shard in store.shard_rows(database, job_id)]


def test_the_last_shard_grows_only_where_many_wait(context: Context, database: Database) -> None:
    for n in range(16):
        job = add(context, n)
    assert sizes(database, job) == [1] * 16
    for n in range(16, 16 + 40):
        add(context, n)
    # To the most that a shard may hold, and then the next.
    assert sizes(database, job) == [1] * 15 + [32, 9]
    for _ in range(8):
        store.work_off(database, store.claim(database))
    add(context, 56)
    assert sizes(database, job) == [1] * 15 + [32, 9, 1]
    assert store.work_off_all(database) == 10
    assert [report.findings for report in audit(context, [job])] == [()]


def test_what_a_worker_holds_does_not_grow(context: Context, database: Database) -> None:
    job = add(context, 0)
    held = store.claim(database)
    for n in range(16):
        add(context, n, run="other")
    add(context, 1)
    assert sizes(database, job) == [1, 1]
    add(context, 2)
    assert sizes(database, job) == [1, 2]
    store.work_off(database, held)


def test_a_shard_that_failed_takes_no_others_with_it(context: Context, database: Database) -> None:
    for n in range(16):
        job = add(context, n)
    store.run(database, "UPDATE shards SET failures = 1 WHERE job_id = :job AND first_ord = 15", job=job)
    add(context, 16)
    assert sizes(database, job) == [1] * 17


def test_a_batch_that_is_large_by_itself_is_spread(context: Context, database: Database) -> None:
    for n in range(16):
        job = add(context, n)
    add(context, 16, count=40)
    assert sizes(database, job) == [1] * 16 + [5] * 8
