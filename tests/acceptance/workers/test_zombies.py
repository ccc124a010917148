"""Workers that stop without dying: what they write when they wake is refused."""

from __future__ import annotations

import signal

import pytest

from tests.support import jobs, store
from tests.support.trial import Trial

pytestmark = pytest.mark.acceptance


def test_a_worker_that_sleeps_past_its_lease_writes_nothing_when_it_wakes(trial: Trial) -> None:
    job = trial.take_in(24, shard=12)
    zombie = trial.start()
    trial.wait_recorded(job, 2)
    zombie.send(signal.SIGSTOP)
    asleep = {row.id for row in trial.leases()}
    assert asleep
    other = trial.workers.start()
    trial.wait_done(job)
    before = _rows(trial, job)
    zombie.send(signal.SIGCONT)
    jobs.wait_for(lambda: "the lease is lost" in zombie.log(), within=15, what=lambda: f"it notices:\n{zombie.log()}")
    # It lives on, and is of use.
    assert other.stop() == 0
    more = trial.take_in(4, seed=5)
    trial.wait_done(more)
    assert zombie.stop() == 0
    assert _rows(trial, job) == before
    trial.check(job)
    trial.check(more)


def _rows(trial: Trial, job: int) -> list[tuple[object, ...]]:
    query = f"SELECT ord, attempt, shard_id, recorded_at FROM scores_j{job} ORDER BY ord"
    return [tuple(row) for row in store.run(trial.database, query)]


def test_a_short_sleep_costs_nothing(trial: Trial) -> None:
    job = trial.take_in(24, shard=12)
    worker = trial.start()
    trial.wait_recorded(job, 2)
    worker.send(signal.SIGSTOP)
    worker.wait_stopped()
    worker.send(signal.SIGCONT)
    trial.finish(job)
    assert {row.attempt for row in store.shard_rows(trial.database, job)} == {1}


@pytest.mark.slow
@pytest.mark.parametrize("point", ["record.after-fence:2:stop", "record.before-commit:2:stop"])
def test_a_worker_frozen_in_the_middle_of_a_record_does_not_hold_its_shard_for_ever(trial: Trial, point: str) -> None:
    job = trial.take_in(12, shard=12)
    frozen = trial.start(RPRM_CRASH_AT=point)
    frozen.wait_stopped()
    trial.workers.start()
    # The session's timeout is 30 s; then the lease has lapsed long ago. A machine's disk may stand still for a minute.
    trial.wait_done(job, within=150)
    frozen.send(signal.SIGCONT)
    jobs.wait_for(lambda: "the lease is lost" in frozen.log(), within=15, what=lambda: f"it notices:\n{frozen.log()}")
    assert frozen.stop() == 0
    trial.check(job)
