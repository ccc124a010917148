"""What the log says of a job's progress: often enough to follow it, seldom enough to read, and always its end."""

from __future__ import annotations

import logging

import pytest

from rprm_jobs.store.session import Database
from tests.support import store
from tests.support.jobs import make_solutions, take_in
from tests.support.worker_parts import Clock, WorkerParts
from workers.progress import ProgressLog

pytestmark = pytest.mark.integration


def test_a_job_is_told_of_every_ten_seconds_and_when_nothing_is_left(
    parts: WorkerParts, caplog: pytest.LogCaptureFixture
) -> None:
    job, clock = take_in(parts.database, make_solutions(12), shard=2).job_id, Clock()
    progress = ProgressLog(parts.database, clock=clock)
    with caplog.at_level(logging.INFO, logger="workers.progress"):
        for _ in range(6):
            store.work_off(parts.database, store.claim(parts.database))
            progress.finished(job)
            clock.now += 4.0
        progress.idle()
        progress.idle()
    assert [record.message for record in caplog.records] == [
        f"job {job}: 2 of 12 done",
        f"job {job}: 8 of 12 done",
        f"job {job}: 12 of 12 done",
    ]
    assert all(vars(record)["job"] == job for record in caplog.records)


def test_solutions_without_a_reward_are_told(parts: WorkerParts, caplog: pytest.LogCaptureFixture) -> None:
    job = take_in(parts.database, make_solutions(2), shard=2).job_id
    lease = store.claim(parts.database)
    good, bad = store.load(parts.database, lease)
    store.record(parts.database, lease, [store.judge(good), store.fail(bad)])
    with caplog.at_level(logging.INFO, logger="workers.progress"):
        ProgressLog(parts.database).finished(job)
    assert caplog.records[0].message == f"job {job}: 2 of 2 done, 1 without a reward"


def test_a_store_that_does_not_answer_and_a_job_that_is_gone_are_passed_over(parts: WorkerParts) -> None:
    ProgressLog(parts.database).finished(10**9)
    away = Database("postgresql://nobody@127.0.0.1:9/none")
    ProgressLog(away).finished(1)
    away.close()
