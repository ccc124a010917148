"""What waits for whom and for how long, and what the shards add up to."""

from __future__ import annotations

import msgspec
import pytest

from rprm_jobs.store.queue import depth
from rprm_jobs.store.queue.depth import Stored, Waiting
from rprm_jobs.store.session import Database
from tests.support import store
from tests.support.jobs import make_recipe, make_solutions, take_in

pytestmark = pytest.mark.integration


def waiting(database: Database) -> dict[str, Waiting]:
    with database.transaction() as connection:
        return {row.judge: row for row in depth.waiting(connection)}


def stored(database: Database) -> dict[str, Stored]:
    with database.transaction() as connection:
        return {row.judge: row for row in depth.stored(connection)}


def take_in_for(database: Database, judge: str, queue: str, *, shards: int = 3) -> int:
    recipe = msgspec.structs.replace(make_recipe(), judge=judge, queue=queue)
    return take_in(database, make_solutions(shards * 2), recipe, shard=2).job_id


def test_an_empty_store_has_no_judges(database: Database) -> None:
    assert (waiting(database), stored(database)) == ({}, {})


def test_ready_and_leased_shards_by_judge_and_the_age_of_the_oldest(database: Database) -> None:
    old, new = take_in_for(database, "a", "queue a"), take_in_for(database, "a", "queue a")
    # Two fingerprints of one judge's name are two queues, and one line.
    other = take_in_for(database, "a", "queue b", shards=1)
    take_in_for(database, "b", "queue c", shards=1)
    for job, minutes in ((old, 30), (new, 10), (other, 50)):
        store.run(
            database, "UPDATE jobs SET created_at = now() - make_interval(mins => :m) WHERE id = :id", m=minutes, id=job
        )
    store.try_claim(database, queue="queue b")
    store.try_claim(database, queue="queue c", lease_s=0.0)
    rows = waiting(database)
    assert (rows["a"].ready, rows["a"].leased, rows["a"].lapsed) == (6, 1, 0)
    assert rows["a"].oldest_s == pytest.approx(30 * 60, abs=30)
    assert rows["b"] == Waiting("b", ready=0, leased=1, lapsed=1, oldest_s=None)


def test_a_shard_that_was_handed_back_waits_since_its_claim(database: Database) -> None:
    job = take_in(database, make_solutions(2), shard=2).job_id
    store.run(database, "UPDATE jobs SET created_at = now() - interval '1 day' WHERE id = :id", id=job)
    assert store.hand_back(database, store.claim(database))
    age = waiting(database)["scripted"].oldest_s
    assert age is not None
    assert age < 60


def test_what_is_stored_adds_up_over_jobs(database: Database) -> None:
    first = take_in(database, make_solutions(4), shard=2).job_id
    store.work_off_all(database)
    second = take_in(database, make_solutions(2, seed=1), shard=2).job_id
    lease = store.claim(database)
    store.record(database, lease, [store.fail(solution) for solution in store.load(database, lease)])
    store.finish(database, lease)
    third = take_in(database, make_solutions(2, seed=2), shard=2).job_id
    store.run(database, "UPDATE shards SET state = 'cancelled' WHERE job_id = :id", id=third)
    row = stored(database)["scripted"]
    assert (row.done, row.cancelled, row.ok, row.failed, row.quarantined) == (3, 1, 4, 2, 0)
    steps = sum(r.steps_done for job in (first, second) for r in store.shard_rows(database, job))
    assert (row.steps, row.critiques, row.tokens) == (steps, 24, 480)


def test_the_live_numbers_read_no_finished_shard(database: Database) -> None:
    store.run(
        database,
        "INSERT INTO jobs (id, recipe, recipe_digest, input_digest, queue, judge, n_solutions, n_steps,"
        " keep_critiques, sources) OVERRIDING SYSTEM VALUE VALUES (1, '{}', '', '', 'q', 'a', 1, 1, 'all', '[]')",
    )
    store.run(
        database,
        "INSERT INTO shards (job_id, queue, priority, first_ord, last_ord, state)"
        " SELECT 1, 'q', 0, n, n, CASE WHEN n % 1000 = 0 THEN 'ready' ELSE 'done' END FROM generate_series(1, 40000) n",
    )
    store.run(database, "ANALYZE shards")
    plan = "\n".join(row[0] for row in store.run(database, f"EXPLAIN {depth._WAITING.text}"))
    assert "Seq Scan on shards" not in plan, plan
    assert waiting(database)["a"].ready == 40
