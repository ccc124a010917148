"""Which workers are alive, who sweeps, and of which shards workers are notified."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from rprm_jobs.engine import EngineStats
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.query import alive_workers, job_status
from rprm_jobs.services.upkeep.sweep import notify, notify_waiting, sweep
from rprm_jobs.store.queue import workers
from rprm_jobs.store.records import WorkerInfo
from rprm_jobs.store.session import Database
from tests.support.jobs import JUDGE, make_recipe, make_solutions, take_in
from tests.support.servers import flush
from tests.support.store import claim, lapse, run, shard_rows, work_off_all

pytestmark = pytest.mark.integration

WORKER = WorkerInfo("w1", JUDGE.queue, "scripted", "scripted 1", "host", 1, 4, datetime.now(UTC), 0.0, 0, 0, None)


def announce(database: Database, worker: WorkerInfo = WORKER) -> None:
    with database.transaction() as connection:
        workers.announce(connection, worker)


def alive(database: Database, queue: str | None = None) -> list[WorkerInfo]:
    with database.transaction() as connection:
        return workers.alive(connection, queue)


def be_silent(database: Database, seconds: float) -> None:
    run(database, "UPDATE workers SET seen_at = now() - make_interval(secs => :s)", s=seconds)


def test_a_worker_is_there_from_its_announcement_to_its_leave(database: Database) -> None:
    announce(database)
    announce(database)
    (seen,) = alive(database)
    assert (seen.id, seen.queue, seen.slots, seen.pid) == ("w1", JUDGE.queue, 4, 1)
    assert 0 <= seen.silent_s < 5
    assert seen.started_at.tzinfo is not None
    with database.transaction() as connection:
        workers.heartbeat(connection, "w1", EngineStats(10, 20, 0.5))
    (seen,) = alive(database)
    assert (seen.prompt_tokens, seen.generated_tokens, seen.prefix_hit_rate) == (10, 20, 0.5)
    with database.transaction() as connection:
        workers.leave(connection, "w1")
    assert alive(database) == []


def test_silence_is_noticed_and_a_beat_ends_it(database: Database) -> None:
    announce(database)
    be_silent(database, workers.SILENT_AFTER_S + 1)
    assert alive(database) == []
    announce(database)
    assert len(alive(database)) == 1
    be_silent(database, 90_000)
    sweep(database)
    assert run(database, "SELECT count(*) FROM workers")[0][0] == 0


def test_workers_are_told_apart_by_their_queue(database: Database) -> None:
    announce(database)
    announce(database, replace(WORKER, id="w2", queue="other"))
    assert [w.id for w in alive(database, "other")] == ["w2"]
    assert len(alive(database)) == 2


def test_a_job_whose_judge_nobody_serves_says_so(context: Context, database: Database) -> None:
    job = take_in(database, make_solutions(2)).job_id
    announce(database, replace(WORKER, id="w2", queue="other"))
    assert job_status(context, job).unserved
    announce(database)
    status = job_status(context, job)
    assert not status.unserved
    assert [w.id for w in status.workers] == ["w1"]
    assert len(alive_workers(context)) == 2
    be_silent(database, 61)
    assert job_status(context, job).unserved
    work_off_all(database)
    assert not job_status(context, job).unserved


def test_there_is_one_sweeper_at_a_time(database: Database) -> None:
    take_in(database, make_solutions(2))
    lapse(database, claim(database).shard_id)
    with database.transaction() as connection:
        assert workers.try_sweep_lock(connection)
        assert sweep(database) == []
    assert len(sweep(database)) == 1


def test_bells_are_for_the_most_urgent_shards_that_were_not_rung_lately(database: Database) -> None:
    low = take_in(database, make_solutions(3), make_recipe(seed=1), shard=1).job_id
    high = take_in(database, make_solutions(2), make_recipe(seed=2), shard=1, priority=1).job_id
    claim(database)

    def to_notify(limit: int, again: float = 30.0) -> set[int]:
        with database.transaction() as connection:
            return {r.shard_id for r in workers.to_notify(connection, JUDGE.queue, limit=limit, again_after_s=again)}

    lows, highs = ([r.id for r in shard_rows(database, job)] for job in (low, high))
    assert to_notify(2) == {highs[1], lows[0]}
    assert to_notify(9) == {lows[1], lows[2]}
    assert to_notify(9) == set()
    assert to_notify(9, again=0.0) == {highs[1], *lows}


def test_queues_that_wait_are_those_with_work_and_a_worker(database: Database) -> None:
    def waiting() -> dict[str, int]:
        with database.transaction() as connection:
            return workers.waiting_queues(connection)

    take_in(database, make_solutions(2))
    assert waiting() == {}
    announce(database)
    announce(database, replace(WORKER, id="w2", slots=3))
    announce(database, replace(WORKER, id="w3", queue="empty"))
    assert waiting() == {JUDGE.queue: 7}
    claim(database)
    run(database, "UPDATE shards SET state = 'done', owner = NULL, lease_until = NULL")
    assert waiting() == {}


def test_the_queue_is_kept_shallow_and_filled_again_after_a_flush(context: Context, database: Database) -> None:
    job = take_in(database, make_solutions(40), shard=1).job_id
    announce(database)
    notifier = context.notifier
    assert notify(database, notifier, JUDGE.queue, upto=3) == 3
    assert notify_waiting(database, notifier) == 5
    assert notifier.depth(JUDGE.queue) == 8
    assert notify_waiting(database, notifier) == 0
    flush(notifier.url)
    assert notify_waiting(database, notifier) == 8
    run(database, "UPDATE shards SET rung_at = now() - interval '31 s' WHERE job_id = :job", job=job)
    flush(notifier.url)
    assert notify_waiting(database, notifier) == 8
