"""Cancelling while a worker judges: nothing is written afterwards, and the worker is free for the next job at once."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from rprm_jobs.services.jobs.control import cancel, delete
from rprm_jobs.services.jobs.results import result_rows
from rprm_jobs.store.records import JobState
from tests.support import jobs, store
from tests.support.trial import Trial

pytestmark = pytest.mark.acceptance


def test_nothing_is_written_after_a_cancel_and_what_was_stays(trial: Trial) -> None:
    job = trial.take_in(48, shard=12)
    worker = trial.start()
    trial.wait_recorded(job, 4)
    assert cancel(trial.context, job)
    kept = trial.recorded(job)
    assert trial.leases() == []
    time.sleep(2)
    assert trial.recorded(job) == kept < 48
    assert jobs.state(trial.database, job) is JobState.CANCELLED
    assert len(list(result_rows(trial.context, job))) == kept
    jobs.assert_clean(trial.context)
    jobs.wait_for(lambda: "the lease is lost" in worker.log(), what=lambda: f"the worker notices\n{worker.log()}")
    more = trial.take_in(6, seed=2)
    trial.finish(more, within=15)
    assert worker.stop() == 0


@pytest.mark.parametrize(
    "point", ["claim.before-commit:1", "record.after-fence:2", "record.before-commit:2", "finish.before:1"]
)
def test_a_cancel_while_a_worker_stands_between_two_statements(trial: Trial, point: str) -> None:
    job = trial.take_in(18, shard=6)
    worker = trial.start(ready=False, RPRM_CRASH_AT=f"{point}:stop")
    worker.wait_stopped()
    with ThreadPoolExecutor(1) as pool:
        cancelled = pool.submit(cancel, trial.context, job)
        # Where the worker's transaction holds a row, the cancel waits for it.
        time.sleep(0.5)
        worker.send(signal.SIGCONT)
        assert cancelled.result(20)
    kept = trial.recorded(job)
    assert kept < 18
    more = trial.take_in(6, seed=2)
    trial.finish(more, within=20)
    assert jobs.state(trial.database, job) is JobState.CANCELLED
    assert trial.recorded(job) == kept == len(list(result_rows(trial.context, job)))
    assert worker.stop() == 0


def test_a_job_deleted_under_a_worker_disturbs_no_other(trial: Trial) -> None:
    job = trial.take_in(24, shard=12, marks={0: "[[scripted:slow:300]]"})
    worker = trial.start()
    trial.wait_recorded(job, 2)
    cancel(trial.context, job)
    delete(trial.context, job)
    more = trial.take_in(6, seed=2)
    trial.finish(more, within=15)
    assert worker.stop() == 0
    assert store.run(trial.database, "SELECT DISTINCT job_id FROM scores") == [(more,)]
