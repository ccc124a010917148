"""A Postgres that refuses writes fails no rollout: the worker waits, says so, and goes on by itself."""

from __future__ import annotations

import pytest

from tests.support import store
from tests.support.jobs import wait_for
from tests.support.trial import Trial
from tests.support.worker_parts import allow, refuse

pytestmark = pytest.mark.acceptance


@pytest.mark.parametrize(("sqlstate", "words"), [("53100", "no space left"), ("53200", "no memory left")])
def test_a_store_that_refuses_results_for_a_while_costs_a_wait(trial: Trial, sqlstate: str, words: str) -> None:
    job = trial.take_in(24, shard=4)
    worker = trial.start()
    trial.wait_recorded(job)
    wait_for(lambda: store.run(trial.database, "SELECT 1 FROM workers WHERE swept_at IS NOT NULL"), what="a sweep")
    refuse(trial.database, sqlstate)
    try:
        wait_for(lambda: troubles(trial) and not trial.leases(), what=lambda: f"handed back: {trial.workers.logs()}")
        before = trial.recorded(job)
        status, doctor = trial.command("status", str(job)), trial.command("doctor")
    finally:
        allow(trial.database)
    for answer in (status, doctor):
        assert f"the store refuses results: {'the database has' if sqlstate == '53100' else 'Postgres has'}" in (
            answer.stdout
        )
        assert words in answer.stdout
        assert "last sweep" in answer.stdout
    assert doctor.returncode == 5
    assert before < 24
    trial.finish(job, within=60)
    assert trial.failures(job) == 0
    wait_for(lambda: not troubles(trial), what="the trouble is over")
    assert worker.stop() == 0
    assert worker.log().count("the store refuses results") <= 2


def troubles(trial: Trial) -> list[str]:
    return [row.trouble for row in store.run(trial.database, "SELECT trouble FROM workers WHERE trouble IS NOT NULL")]


def test_rubbish_in_one_job_stops_no_sweeper(trial: Trial) -> None:
    done, lost = trial.take_in(2, shard=2), trial.take_in(4, shard=4, seed=5)
    store.run(trial.database, "UPDATE shards SET priority = 1 WHERE job_id = :job", job=lost)
    lease = store.claim(trial.database, "a worker that is gone", lease_s=3600.0)
    first = trial.workers.start("--engine-arg", "rate=200")
    trial.wait_done(done)
    store.run(
        trial.database,
        'UPDATE jobs SET follow = CAST(:wish AS jsonb), recipe = \'{"of": "another version"}\' WHERE id = :job',
        wish='{"recipe": {"rubbish": 1}, "priority": "high", "keep_critiques": 7}',
        job=done,
    )
    store.run(trial.database, "UPDATE workers SET swept_at = NULL")
    wait_for(lambda: store.run(trial.database, "SELECT 1 FROM workers WHERE swept_at IS NOT NULL"), what="a sweep")
    job = trial.take_in(8, shard=4, seed=3)
    trial.wait_done(job)
    assert lease.job_id == lost
    store.lapse(trial.database, lease.shard_id)
    trial.wait_done(lost)
    assert trial.failures(lost) == 1
    assert troubles(trial)[0].startswith(f"dependent jobs are not created: the score job of job {done} cannot be")
    assert first.stop() == 0
