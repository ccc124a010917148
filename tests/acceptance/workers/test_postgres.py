"""Sessions that Postgres ends: the worker connects again, repeats what is unknown, and nothing is lost or doubled."""

from __future__ import annotations

import time

import pytest

from tests.support import store
from tests.support.trial import Trial

pytestmark = pytest.mark.acceptance

_KILL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
_WORKERS = f"{_KILL} AND pid <> pg_backend_pid() AND application_name LIKE 'rprm-jobs %' AND application_name <> :mine"


def kill_sessions(trial: Trial) -> int:
    return len(store.run(trial.database, _WORKERS, mine="rprm-jobs tests"))


def test_the_workers_sessions_killed_again_and_again(trial: Trial) -> None:
    job = trial.take_in(36, shard=6)
    worker = trial.start()
    killed = 0
    while trial.recorded(job) < 36:
        killed += kill_sessions(trial)
        time.sleep(0.2)
        assert worker.process.poll() is None, worker.log()
    assert killed >= 5
    trial.finish(job)
    assert trial.failures(job) == 0
    assert worker.stop() == 0


def test_sessions_killed_while_the_worker_leaves(trial: Trial) -> None:
    job = trial.take_in(24, shard=12)
    worker = trial.start()
    trial.wait_recorded(job, 2)
    kill_sessions(trial)
    assert worker.stop() == 0
    assert trial.leases() == []
    assert trial.failures(job) == 0
    trial.workers.start()
    trial.finish(job)
