"""What an engine may do: raise anything, exit, die, refuse. One bad rollout takes no other with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rprm_jobs.store.records import JobState
from tests.support import jobs, store
from tests.support.trial import PACE, Trial
from tests.support.workers import Supervisor

pytestmark = pytest.mark.acceptance


@pytest.mark.parametrize("fault", ["memory", "systemexit"])
def test_what_a_task_raises_once_costs_one_attempt_and_no_slot(trial: Trial, tmp_path: Path, fault: str) -> None:
    job = trial.take_in(8, shard=4, marks={1: f"[[scripted:{fault}-once:{tmp_path / 'seen'}]]"})
    worker = trial.start("--shards-in-flight", "1")
    trial.finish(job)
    assert sorted(row.failures for row in store.shard_rows(trial.database, job)) == [0, 1]
    more = trial.take_in(6, seed=4)
    trial.finish(more)
    assert worker.stop() == 0


@pytest.mark.parametrize("fault", ["memory", "systemexit", "no-such-fault"])
def test_a_rollout_that_always_raises_is_quarantined_alone(trial: Trial, fault: str) -> None:
    job = trial.take_in(16, shard=8, marks={5: f"[[scripted:{fault}]]"})
    worker = trial.start()
    trial.finish(job, besides={"s5": "quarantined"})
    reason = jobs.outcomes(trial.database, job)["s5"].reason or ""
    assert {"memory": "MemoryError", "systemexit": "SystemExit", "no-such-fault": "unknown marker"}[fault] in reason
    assert worker.stop() == 0


def test_an_engine_that_dies_ends_the_worker_and_counts_no_failure(trial: Trial, tmp_path: Path) -> None:
    job = trial.take_in(24, shard=6, marks={9: f"[[scripted:died-once:{tmp_path / 'seen'}]]"})
    worker = trial.start()
    assert worker.wait_exit() == 8, worker.log()
    assert trial.leases() == []
    assert trial.failures(job) == 0
    assert store.run(trial.database, "SELECT * FROM workers") == []
    trial.workers.start()
    trial.finish(job)
    assert trial.failures(job) == 0


def test_a_poison_rollout_that_kills_its_worker_is_isolated_and_its_neighbours_are_judged(trial: Trial) -> None:
    job = trial.take_in(16, shard=4, marks={2: "[[scripted:exit]]"})
    # Slow enough that no neighbour in the same process is recorded before the poison kills it.
    quick_leases = {"RPRM_LEASE_S": "1.5", "RPRM_RENEW_S": "0.5", "RPRM_SWEEP_S": "0.3"}
    supervisor = Supervisor(trial.workers, ("--engine-arg", "delay_s=0.7"), quick_leases)
    supervisor.tend_until(lambda: jobs.state(trial.database, job) is JobState.DONE, within=100)
    assert set(supervisor.exits) == {137}
    trial.check(job, besides={"s2": "quarantined"})
    # Seen at once by its witness, or when its short lease ran out.
    assert re.search("died|fell silent", jobs.outcomes(trial.database, job)["s2"].reason or "")


def test_what_cannot_be_judged_fails_with_its_reason_and_the_shard_goes_on(trial: Trial) -> None:
    marks = {0: "refuse", 1: "too-long", 2: "unparsed", 3: "truncated", 4: "no-logprobs"}
    job = trial.take_in(8, shard=8, marks={i: f"[[scripted:{name}]]" for i, name in marks.items()})
    trial.workers.start(*PACE)
    trial.finish(job, besides={f"s{i}": "failed" for i in range(4)})
    found = jobs.outcomes(trial.database, job)
    words = ["was told to refuse", "prompt has", "no verdict in any", "2 cut by the token limit"]
    for i, part in enumerate(words):
        reason = found[f"s{i}"].reason or ""
        assert reason.startswith("step 3: ")
        assert part in reason
    assert [found[f"s{i}"].by_votes for i in (4, 5)] == [True, False]
    assert found["s2"].rewards is not None
    assert None not in found["s2"].rewards[:2]
    assert found["s2"].rewards[2] is None
    assert trial.failures(job) == 0


def test_a_retry_draws_new_critiques_for_what_failed(trial: Trial) -> None:
    job = trial.take_in(6, shard=3, marks={1: "[[scripted:unparsed]]"})
    worker = trial.workers.start()
    trial.finish(job, besides={"s1": "failed"})
    answer = trial.command("retry", str(job), "--json")
    assert answer.returncode == 0, answer.stderr
    trial.finish(job, besides={"s1": "failed"})
    assert sorted(row.round for row in store.shard_rows(trial.database, job)) == [0, 1]
    assert worker.stop() == 0
