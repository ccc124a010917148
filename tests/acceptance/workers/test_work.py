"""Undisturbed work: one worker, several side by side, priorities, and queues that nobody serves."""

from __future__ import annotations

import msgspec
import pytest

from rprm_jobs.services.jobs.query import job_status
from rprm_jobs.store.records import JobState
from tests.support import jobs, store
from tests.support.trial import Trial

pytestmark = pytest.mark.acceptance


def test_one_worker_judges_a_job_and_signs_off(trial: Trial) -> None:
    job = trial.take_in(40)
    worker = trial.workers.start()
    trial.finish(job)
    rows = store.shard_rows(trial.database, job)
    assert {(row.attempt, row.failures, row.engine) for row in rows} == {(1, 0, "scripted 1")}
    assert worker.stop() == 0
    assert store.run(trial.database, "SELECT * FROM workers") == []
    assert "Traceback" not in worker.log()


def test_a_worker_says_how_far_a_job_is_in_lines_that_a_machine_can_read(trial: Trial) -> None:
    job = trial.take_in(8, shard=4)
    worker = trial.workers.start(RPRM_LOG_FORMAT="json")
    trial.finish(job)
    assert worker.stop() == 0
    lines = [msgspec.json.decode(line) for line in worker.log().splitlines()]
    (named,) = {line["worker"] for line in lines if line["logger"] == "workers.progress"}
    assert f":{worker.pid}:" in named
    assert any(line["message"] == f"job {job}: 8 of 8 done" and line["job"] == job for line in lines), lines
    assert {"time", "level", "logger", "message"} <= set(lines[0])


def test_two_workers_share_a_job_and_no_shard_is_judged_twice(trial: Trial) -> None:
    first, second = (trial.start("--shards-in-flight", "2") for _ in range(2))
    job = trial.take_in(32, shard=2)
    owners: set[str] = set()

    def both_work() -> bool:
        owners.update(row.owner for row in trial.leases())
        return len(owners) == 2

    jobs.wait_for(both_work, what=lambda: f"both work: {owners}\n{trial.workers.logs()}")
    trial.finish(job)
    assert {row.attempt for row in store.shard_rows(trial.database, job)} == {1}
    assert (first.stop(), second.stop()) == (0, 0)


def test_the_urgent_job_goes_first(trial: Trial) -> None:
    low = trial.take_in(12, shard=3, seed=1)
    high = trial.take_in(12, shard=3, seed=2, priority=1)
    trial.start("--shards-in-flight", "1")
    trial.finish(low)
    trial.check(high)
    first, last = (
        [(r.claimed_at, r.finished_at) for r in store.shard_rows(trial.database, job)] for job in (high, low)
    )
    assert max(end for _, end in first) <= min(begin for begin, _ in last)


def test_a_stream_of_urgent_shards_starves_nobody(trial: Trial) -> None:
    low = trial.take_in(2, shard=2, seed=1)
    high = trial.take_in(40, shard=1, seed=2, priority=1)
    trial.start("--shards-in-flight", "1")
    trial.finish(high)
    trial.finish(low)
    (patient,) = store.shard_rows(trial.database, low)
    urgent = [row.claimed_at for row in store.shard_rows(trial.database, high)]
    assert sum(claimed < patient.claimed_at for claimed in urgent) == 15


def test_a_worker_leaves_other_judges_alone_and_status_says_that_nobody_serves_them(trial: Trial) -> None:
    other = msgspec.structs.replace(jobs.make_recipe(seed=9), queue="rprm.other.0123", judge="other")
    unserved = jobs.take_in(trial.database, jobs.make_solutions(3), other).job_id
    job = trial.take_in(6)
    assert job_status(trial.context, job).unserved
    worker = trial.workers.start()
    trial.finish(job)
    status = job_status(trial.context, unserved)
    assert (status.unserved, status.state) == (True, JobState.QUEUED)
    assert [w.pid for w in job_status(trial.context, job).workers] == [worker.pid]
    assert worker.stop() == 0


def test_more_critiques_than_may_be_in_flight(trial: Trial) -> None:
    job = trial.take_in(8, k=7)
    trial.workers.start("--critiques-in-flight", "3", "--shards-in-flight", "2")
    trial.finish(job)
