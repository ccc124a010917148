"""Cancelled extensions: the job has what it had, and may be extended, retried and repaired again."""

from __future__ import annotations

import pytest

from rprm_jobs.errors import Conflict, LeaseLost
from rprm_jobs.store.jobs import extensions, jobs, retries
from rprm_jobs.store.records import JobState
from rprm_jobs.store.session import Database
from rprm_jobs.store.upkeep import repair
from tests.support.extending import clean, extend, finished, next_lease, verdicts, work_on
from tests.support.jobs import make_recipe, make_solutions, take_in
from tests.support.store import (
    claim,
    fail,
    finish,
    judge,
    judge_on,
    load,
    record,
    run,
    try_claim,
    work_off,
    work_off_all,
)

pytestmark = pytest.mark.integration


def cancel(database: Database, job: int) -> bool:
    return extensions.cancel(database, job)


def state_of(database: Database, job: int) -> tuple[JobState, int]:
    """The job's state and K."""
    with database.transaction() as connection:
        stored = jobs.get(connection, job)
        return jobs.progress(connection, job).state(stored), stored.recipe.k


def test_a_cancelled_extension_leaves_the_job_as_it_was(database: Database) -> None:
    job = finished(database)
    rows = f"SELECT ord, status, rewards, first_error, critiques_per_step FROM scores_j{job} ORDER BY ord"
    before, outcomes = verdicts(database, job), run(database, rows)
    extend(database, job, 6)
    assert cancel(database, job)
    assert state_of(database, job) == (JobState.DONE, 2)
    assert (verdicts(database, job), run(database, rows)) == (before, outcomes)
    with database.transaction() as connection:
        progress = jobs.progress(connection, job)
    assert (progress.ok, progress.steps, progress.critiques, progress.waiting) == (4, 12, 24, 0)
    assert clean(database, job)
    assert try_claim(database) is None
    # It answers for its input again, and no second cancel kills it.
    assert take_in(database, make_solutions(4), make_recipe(k=2), shard=2, dedupe=True).job_id == job
    assert not cancel(database, job)
    with database.transaction() as connection, pytest.raises(Conflict, match="is finished"):
        jobs.cancel(connection, job)


def test_what_a_cancelled_extension_has_judged_on_stays(database: Database) -> None:
    job = finished(database)
    extend(database, job, 6)
    work_on(database, claim(database), 6)
    lease = claim(database)
    record(database, lease, [judge_on(load(database, lease)[0], k=6)])
    late = [judge_on(s, k=6) for s in load(database, lease)]
    assert cancel(database, job)
    with pytest.raises(LeaseLost):
        record(database, lease, late)
    assert state_of(database, job) == (JobState.DONE, 2)
    counts = run(database, f"SELECT critiques_per_step[1] AS n FROM scores_j{job} ORDER BY ord")
    assert [row.n for row in counts] == [6, 6, 6, 2]
    with database.transaction() as connection:
        progress = jobs.progress(connection, job)
    assert (progress.ok, progress.steps, progress.critiques) == (4, 12, 3 * 3 * 6 + 3 * 2)
    assert clean(database, job)


@pytest.mark.parametrize("k", [3, 4, 6, 8])
def test_a_job_is_extended_again_after_a_cancel(database: Database, k: int) -> None:
    job = finished(database)
    extend(database, job, 6)
    work_on(database, claim(database), 6)
    cancel(database, job)
    extend(database, job, k)
    while (lease := next_lease(database)) is not None:
        work_on(database, lease, k)
    counts = run(database, f"SELECT critiques_per_step[1] AS n FROM scores_j{job} ORDER BY ord")
    assert [row.n for row in counts] == [max(6, k)] * 2 + [k] * 2
    assert state_of(database, job) == (JobState.DONE, k)
    assert clean(database, job)


def test_a_cancelled_extension_can_be_retried_and_repaired(database: Database) -> None:
    job = take_in(database, make_solutions(4), shard=2).job_id
    for _ in range(2):
        lease = claim(database)
        record(database, lease, [fail(s) if s.ord in (1, 2) else judge(s) for s in load(database, lease)])
        finish(database, lease)
    extend(database, job, 4)
    lease = claim(database)
    record(database, lease, [judge_on(load(database, lease)[0], k=4)])
    with pytest.raises(Conflict, match="is being extended"):
        retries.retry_failed(database, job, quarantined=False)
    cancel(database, job)
    assert clean(database, job)
    assert retries.retry_failed(database, job, quarantined=False) == 2
    run(database, f"DELETE FROM scores_j{job} WHERE ord = 0")
    assert repair.repair(database, job).requeued >= 1
    work_off_all(database)
    assert state_of(database, job) == (JobState.DONE, 2)
    assert clean(database, job)


def test_a_second_cancel_after_a_retry_is_one_of_the_job(database: Database) -> None:
    """An extension that has come to its end is no longer running, whatever is queued afterwards."""
    job = take_in(database, make_solutions(2), shard=2).job_id
    lease = claim(database)
    record(database, lease, [fail(load(database, lease)[0]), judge(load(database, lease)[1])])
    finish(database, lease)
    extend(database, job, 3)
    lease = claim(database)
    record(database, lease, [fail(load(database, lease)[0]), judge_on(load(database, lease)[1], k=3)])
    finish(database, lease)
    retries.retry_failed(database, job, quarantined=False)
    with database.transaction() as connection:
        assert jobs.progress(connection, job).extension(jobs.get(connection, job)) is None
    assert not cancel(database, job)


def test_a_solution_without_any_outcome_stays_in_the_queue(database: Database) -> None:
    job = finished(database)
    extend(database, job, 4)
    run(database, f"UPDATE scores_j{job} SET rewards[1] = rewards[1] / 2 + 0.01 WHERE ord = 3")
    assert repair.repair(database, job).dropped == 1
    cancel(database, job)
    assert state_of(database, job)[1] == 2
    lease = claim(database)
    assert [s.ord for s in load(database, lease)] == [3]
    work_off(database, lease)
    assert state_of(database, job) == (JobState.DONE, 2)
    assert clean(database, job)


def test_a_newer_equal_job_keeps_its_key_when_an_extension_is_cancelled(database: Database) -> None:
    job = finished(database)
    extend(database, job, 4)
    newer = take_in(database, make_solutions(4), make_recipe(k=2), shard=2, dedupe=True).job_id
    assert newer != job
    cancel(database, job)
    assert take_in(database, make_solutions(4), make_recipe(k=2), shard=2, dedupe=True).job_id == newer
    assert take_in(database, make_solutions(4), make_recipe(k=4), shard=2, dedupe=True).created


def test_a_running_extension_shows_its_progress_beside_the_jobs(database: Database) -> None:
    job = take_in(database, make_solutions(4), shard=2).job_id
    for _ in range(2):
        lease = claim(database)
        record(database, lease, [fail(s) if s.ord == 3 else judge(s) for s in load(database, lease)])
        finish(database, lease)
    extend(database, job, 5)
    work_on(database, claim(database), 5)
    with database.transaction() as connection:
        stored, progress = jobs.get(connection, job), jobs.progress(connection, job)
    (extension, outcomes) = (progress.extension(stored), progress.outcomes(stored))
    assert extension is not None
    assert (extension.previous_k, progress.ok, progress.failed, progress.solutions) == (2, 2, 0, 2)
    assert (outcomes.ok, outcomes.failed, outcomes.solutions, outcomes.steps) == (3, 1, 4, 12)
    work_on(database, claim(database), 5)
    with database.transaction() as connection:
        progress = jobs.progress(connection, job)
    assert progress.extension(stored) is None
    assert progress.outcomes(stored).ok == 4
