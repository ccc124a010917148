"""With the default lease of 90 s: work goes on within seconds of a kill, and a healthy worker keeps what it has."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import psutil
import pytest

from rprm_jobs.services.upkeep.deaths import settle_vanished
from tests.support import jobs, store
from tests.support.pooler import PgBouncer
from tests.support.trial import Trial
from tests.support.workers import WorkerProcess

pytestmark = pytest.mark.acceptance

DEFAULTS = {"RPRM_LEASE_S": "90", "RPRM_RENEW_S": "15"}


def witness_of(worker: WorkerProcess) -> psutil.Process:
    """The process that outlives the worker."""
    children = psutil.Process(worker.pid).children(recursive=True)
    (witness,) = [child for child in children if "workers.witness" in child.cmdline()]
    return witness


@pytest.fixture
def job(trial: Trial) -> Iterator[int]:
    """Two shards, so that the first worker holds the whole job."""
    yield trial.take_in(24, shard=12)
    assert trial.leases() == []


def kill(trial: Trial, job: int, worker: WorkerProcess, *, with_witness: bool) -> None:
    """SIGKILL in the middle of its work; another worker waits for work at that time."""
    trial.wait_recorded(job, 3)
    if with_witness:
        witness_of(worker).kill()
    worker.send(signal.SIGKILL)
    assert worker.wait_exit() == -signal.SIGKILL


@pytest.mark.parametrize("with_witness", [False, True], ids=["its witness sees it", "its lock is free"])
def test_work_goes_on_within_ten_seconds_of_a_kill(trial: Trial, job: int, with_witness: bool) -> None:
    first = trial.start(**DEFAULTS)
    jobs.wait_for(lambda: len(trial.leases()) == 2, what="both shards are leased")
    trial.start(**DEFAULTS)
    kill(trial, job, first, with_witness=with_witness)
    started = time.monotonic()
    jobs.wait_for(lambda: any(row.attempt == 2 for row in trial.leases()), within=10, what="the work goes on")
    print(f"work went on {time.monotonic() - started:.1f} s after the kill")
    trial.finish(job)
    # Each shard that the dead worker held counts once; it may have finished one, or recorded all of it.
    shards = [(row.attempt, row.failures) for row in store.shard_rows(trial.database, job)]
    assert set(shards) <= {(1, 0), (1, 1), (2, 1)}
    assert (2, 1) in shards
    reasons = {row.reason for row in store.run(trial.database, "SELECT reason FROM failed_attempts")}
    assert len(reasons) == 1
    assert reasons.pop().endswith("died")


def test_behind_a_pooler_the_witness_sees_it(trial: Trial, job: int, pgbouncer: PgBouncer) -> None:
    pooled = {"RPRM_DATABASE_URL": pgbouncer.url, **DEFAULTS}
    first = trial.start(**pooled)
    trial.start(**pooled)
    kill(trial, job, first, with_witness=False)
    trial.finish(job, within=30)


def test_a_healthy_worker_whose_lock_connection_breaks_keeps_its_shards(trial: Trial, job: int) -> None:
    first = trial.start(**DEFAULTS)
    trial.start(**DEFAULTS)
    kill_locks = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rprm-jobs worker lock'"
    )
    for goal in (1, 6, 12, 18):
        trial.wait_recorded(job, goal)
        store.run(trial.database, f"{kill_locks} AND datname = current_database()")
    trial.finish(job)
    assert trial.failures(job) == 0
    assert first.stop() == 0


def test_a_frozen_worker_keeps_its_shards_for_its_lease(trial: Trial, job: int) -> None:
    worker = trial.start(**DEFAULTS)
    trial.wait_recorded(job, 2)
    worker.send(signal.SIGSTOP)
    worker.wait_stopped()
    assert settle_vanished(trial.database, sleep=lambda _: None) == []
    worker.send(signal.SIGCONT)
    trial.finish(job)
    assert trial.failures(job) == 0


def test_a_worker_that_stops_in_good_order_dismisses_its_witness(trial: Trial, job: int) -> None:
    worker = trial.start(**DEFAULTS)
    witness = witness_of(worker)
    # What systemd sends goes to all processes of a service: the witness must not be the first to leave.
    os.kill(witness.pid, signal.SIGTERM)
    assert worker.stop() == 0
    assert not witness.is_running() or witness.status() == psutil.STATUS_ZOMBIE
    assert trial.leases() == []
    assert store.run(trial.database, "SELECT 1 FROM failed_attempts") == []
    trial.start(**DEFAULTS)
    trial.finish(job)
