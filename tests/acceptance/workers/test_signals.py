"""Leaving in good order: exit 0 in time, nothing counted as a failure, nothing held, nothing lost."""

from __future__ import annotations

import signal
import time

import pytest

from tests.support import store
from tests.support.jobs import PATIENCE, wait_for
from tests.support.trial import Trial
from tests.support.workers import WorkerProcess

pytestmark = pytest.mark.acceptance

# A step that takes longer than anybody waits.
_ENDLESS = "[[scripted:slow:300]]"
# Of each critique of the scripted engine.
_TOKENS = 100


def leave(trial: Trial, worker: WorkerProcess, number: signal.Signals, *, within: float) -> None:
    worker.send(number)
    assert worker.wait_exit(within=PATIENCE * within) == 0, worker.log()
    assert trial.leases() == []
    assert store.run(trial.database, "SELECT * FROM workers") == []
    assert "Traceback" not in worker.log()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_asked_to_stop_finishes_what_it_began_and_hands_the_rest_back(
    trial: Trial, number: signal.Signals
) -> None:
    job = trial.take_in(48, shard=12)
    worker = trial.start("--critiques-in-flight", "12")
    trial.wait_recorded(job, 2)
    leave(trial, worker, number, within=8)
    assert 0 < trial.recorded(job) < 48
    assert trial.failures(job) == 0
    trial.workers.start()
    trial.finish(job)
    assert trial.failures(job) == 0


def test_a_solution_that_takes_too_long_is_given_up_when_the_grace_is_over(trial: Trial) -> None:
    job = trial.take_in(6, shard=3, marks={1: _ENDLESS})
    worker = trial.start(RPRM_GRACE_S="1.5")
    trial.wait_recorded(job, 5)
    leave(trial, worker, signal.SIGTERM, within=6)
    assert trial.recorded(job) == 5
    assert trial.failures(job) == 0


def test_a_second_signal_gives_up_at_once_and_still_loses_nothing(trial: Trial) -> None:
    job = trial.take_in(6, shard=3, marks={1: _ENDLESS})
    worker = trial.start(RPRM_GRACE_S="60", RPRM_RECORD_S="30")
    # Five are complete, and all of the sixth but its endless step. Of its shard nothing is written so far.
    judged = (5 * 3 + 2) * 2 * _TOKENS
    tokens = "SELECT generated_tokens FROM workers"
    wait_for(lambda: store.run(trial.database, tokens)[0].generated_tokens == judged, what="five are complete")
    assert trial.wait_recorded(job, 3) == 3
    worker.send(signal.SIGTERM)
    time.sleep(1)
    assert worker.process.poll() is None
    leave(trial, worker, signal.SIGTERM, within=6)
    assert trial.recorded(job) == 5
    assert trial.failures(job) == 0


def test_an_idle_worker_leaves_at_once(trial: Trial) -> None:
    leave(trial, trial.start(), signal.SIGTERM, within=5)


def test_a_worker_that_was_asked_before_it_was_ready_leaves_too(trial: Trial) -> None:
    job = trial.take_in(6)
    worker = trial.start(ready=False)
    time.sleep(0.7)
    worker.send(signal.SIGTERM)
    assert worker.wait_exit() in (0, -signal.SIGTERM)
    assert trial.leases() == []
    assert trial.failures(job) == 0
