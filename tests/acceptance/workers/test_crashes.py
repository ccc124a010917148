"""Processes killed with SIGKILL, at random and at every crash point: the work goes on and the outcome is the same."""

from __future__ import annotations

import signal
from pathlib import Path

import msgspec
import pytest

from rprm_jobs.judge.recipe import BY_CONTENT
from rprm_jobs.services.upkeep.sweep import sweep
from tests.support import jobs, store
from tests.support.trial import Trial

pytestmark = pytest.mark.acceptance


def test_a_worker_killed_in_the_middle_loses_seconds(trial: Trial) -> None:
    job = trial.take_in(24, shard=12)
    worker = trial.start()
    trial.wait_recorded(job, 3)
    worker.send(signal.SIGKILL)
    assert worker.wait_exit() == -signal.SIGKILL
    before = _recorded_rows(trial, job)
    assert 0 < len(before) < 24
    trial.start()
    trial.finish(job)
    after = _recorded_rows(trial, job)
    assert before.items() <= after.items()
    assert {attempt for attempt, _ in after.values()} == {1, 2}


def _recorded_rows(trial: Trial, job: int) -> dict[int, tuple[int, object]]:
    rows = store.run(trial.database, f"SELECT ord, attempt, recorded_at FROM scores_j{job}")
    return {row.ord: (row.attempt, row.recorded_at) for row in rows}


@pytest.mark.parametrize(
    "point",
    ["claim.before-commit", "claim.before-commit:3", "record.after-fence:2", "record.before-commit:2", "finish.before"],
)
def test_a_worker_that_dies_between_two_statements(trial: Trial, point: str) -> None:
    job = trial.take_in(16, shard=4)
    assert trial.start(ready=False, RPRM_CRASH_AT=point).wait_exit() == 137
    assert trial.recorded(job) < 16
    trial.workers.start()
    trial.finish(job)


@pytest.mark.parametrize(("lapses", "point"), [(1, "sweep.before-commit"), (2, "split.between")])
def test_a_sweeper_that_dies(trial: Trial, lapses: int, point: str) -> None:
    job = trial.take_in(8, shard=8)
    for _ in range(lapses):
        sweep(trial.database)
        store.lapse(trial.database, store.claim(trial.database, "gone").shard_id)
    assert trial.start(ready=False, RPRM_CRASH_AT=point).wait_exit() == 137
    before = store.shard_rows(trial.database, job)
    assert [(row.state, row.failures) for row in before] == [("leased", lapses - 1)]
    trial.workers.start()
    trial.finish(job)
    assert len(store.shard_rows(trial.database, job)) == lapses


def test_a_submit_that_dies_leaves_nothing_and_can_be_repeated(trial: Trial, tmp_path: Path) -> None:
    solutions = jobs.make_solutions(40)
    file = jobs.write_jsonl(tmp_path / "solutions.jsonl", solutions)
    submit = ("submit", str(file), "--judge", "scripted", "-k", "2", "--json")
    for point in ("submit.after-copy", "submit.before-attach"):
        assert trial.command(*submit, RPRM_CRASH_AT=point).returncode == 137
        assert store.run(trial.database, "SELECT 1 FROM jobs") == []
        assert store.run(trial.database, "SELECT 1 FROM pg_class WHERE relname ~ '_j[0-9]'") == []
    first, again = (trial.command(*submit) for _ in range(2))
    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    answers = [msgspec.json.decode(done.stdout) for done in (first, again)]
    assert [answer["created"] for answer in answers] == [True, False]
    job = answers[0]["job_id"]
    assert answers[1]["job_id"] == job
    trial.remember(job, solutions, jobs.make_recipe(k=2, seed_rule=BY_CONTENT))
    trial.workers.start()
    trial.finish(job)


def test_a_cancel_that_dies_did_not_happen(trial: Trial) -> None:
    job = trial.take_in(12)
    assert trial.command("cancel", str(job), RPRM_CRASH_AT="cancel.before-commit").returncode == 137
    assert {row.state for row in store.shard_rows(trial.database, job)} == {"ready"}
    trial.workers.start()
    trial.finish(job)


def test_an_extension_that_dies_did_not_happen_and_its_worker_may_die_too(trial: Trial) -> None:
    job = trial.take_in(12, shard=4)
    trial.start()
    trial.finish(job)
    trial.workers.started[0].stop()
    extend = ("extend", str(job), "-k", "4")
    assert trial.command(*extend, RPRM_CRASH_AT="extend.before-commit").returncode == 137
    trial.check(job)
    done = trial.command(*extend)
    assert done.returncode == 0, done.stderr
    for point in ("record.after-fence:2", "record.before-commit:2", "finish.before"):
        assert trial.start(ready=False, RPRM_CRASH_AT=point).wait_exit() == 137
        jobs.assert_clean(trial.context)
        # Each death by itself: two of them on a solution that is alone in its shard are its quarantine.
        store.run(trial.database, "UPDATE shards SET failures = 0")
    trial.workers.start()
    trial.now_of(job, k=4)
    trial.finish(job)


def test_a_repair_that_dies_did_not_happen(trial: Trial) -> None:
    job = trial.take_in(8)
    trial.workers.start()
    trial.finish(job)
    store.run(trial.database, f"DELETE FROM scores_j{job} WHERE ord = 3")
    repair = ("audit", "--repair", str(job))
    assert trial.command(*repair, RPRM_CRASH_AT="repair.between-batches").returncode == 137
    assert {row.state for row in store.shard_rows(trial.database, job)} == {"done"}
    assert trial.command(*repair).returncode == 0
    trial.finish(job)


def test_a_worker_killed_with_all_its_slots_busy_again_and_again(trial: Trial) -> None:
    job = trial.take_in(32, shard=8)
    for goal in (2, 8, 16):
        worker = trial.start()
        trial.wait_recorded(job, goal)
        worker.send(signal.SIGKILL)
        worker.wait_exit()
        # A solution that is alone in its shard, and held whenever its worker dies, is rightly taken for the cause.
        store.run(trial.database, "UPDATE shards SET failures = least(failures, 1)")
    trial.workers.start()
    trial.finish(job)
