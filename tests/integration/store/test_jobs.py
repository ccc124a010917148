"""Jobs: states and sums read off the shards, cancel, retry of what failed, delete."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rprm_jobs.errors import Conflict, NotFound
from rprm_jobs.services.context import Context
from rprm_jobs.store.jobs import jobs, retries
from rprm_jobs.store.records import JobState
from rprm_jobs.store.session import Database
from rprm_jobs.types import ItemStatus, Verdict
from tests.support.jobs import assert_clean, make_recipe, make_solutions, outcomes, progress, state, take_in
from tests.support.store import (
    claim,
    fail,
    fail_held,
    finish,
    hand_back,
    judge,
    load,
    record,
    run,
    shard_rows,
    try_claim,
    work_off,
    work_off_all,
)

pytestmark = pytest.mark.integration


def cancel(database: Database, job_id: int) -> bool:
    with database.transaction() as connection:
        return jobs.cancel(connection, job_id)


def retry(database: Database, job_id: int, *, quarantined: bool = False) -> int:
    return retries.retry_failed(database, job_id, quarantined=quarantined)


def delete(database: Database, job_id: int) -> None:
    with database.transaction() as connection:
        jobs.delete(connection, job_id)


def test_a_jobs_state_and_sums_follow_its_shards(database: Database) -> None:
    job = take_in(database, make_solutions(6), shard=2).job_id
    assert state(database, job) is JobState.QUEUED
    lease = claim(database)
    assert state(database, job) is JobState.RUNNING
    one, two = load(database, lease)
    record(database, lease, [judge(one), fail(two)])
    now = progress(database, job)
    assert (now.shards, now.ready, now.leased, now.finished) == (3, 2, 1, 0)
    assert (now.ok, now.failed, now.quarantined, now.solutions) == (1, 1, 0, 2)
    assert (now.steps, now.critiques, now.tokens) == (6, 6, 120)
    assert now.started_at is not None
    finish(database, lease)
    fail_held(database, claim(database), "why")
    assert progress(database, job).last_error == "attempt 1: why"
    work_off_all(database)
    now = progress(database, job)
    assert (now.finished, now.solutions, now.steps, now.last_error) == (3, 6, 18, None)
    assert state(database, job) is JobState.DONE


def test_recent_jobs_come_newest_first_with_their_sums(database: Database) -> None:
    ids = [take_in(database, make_solutions(n)).job_id for n in (1, 2, 3)]
    work_off(database, claim(database))
    with database.transaction() as connection:
        listed = jobs.list_recent(connection, 2)
        everything = jobs.list_recent(connection, 9)
        assert jobs.all_ids(connection) == ids
    assert [job.id for job, _ in listed] == ids[:0:-1]
    assert [sums.ok for _, sums in everything] == [0, 0, 1]
    assert [job.n_solutions for job, _ in everything] == [3, 2, 1]


@pytest.mark.parametrize("act", [cancel, retry, delete])
def test_an_unknown_job_is_not_found(database: Database, act: Any) -> None:
    with pytest.raises(NotFound, match="no job 77"):
        act(database, 77)


def test_cancel_stops_everything_that_is_not_done(context: Context, database: Database) -> None:
    job = take_in(database, make_solutions(8), shard=2).job_id
    done, leased, back = claim(database), claim(database), claim(database)
    work_off(database, done)
    record(database, leased, [judge(load(database, leased)[0])])
    hand_back(database, back)
    assert cancel(database, job)
    assert [r.state for r in shard_rows(database, job)] == ["done", "cancelled", "cancelled", "cancelled"]
    assert state(database, job) is JobState.CANCELLED
    assert try_claim(database) is None
    assert cancel(database, job) is False
    assert [o.status for o in outcomes(database, job).values()] == ["ok"] * 3 + [None] * 5
    assert_clean(context)


def test_a_finished_job_cannot_be_cancelled(database: Database) -> None:
    job = take_in(database, make_solutions(2)).job_id
    work_off_all(database)
    with pytest.raises(Conflict, match="finished"):
        cancel(database, job)
    assert state(database, job) is JobState.DONE


def test_cancel_leaves_other_jobs_alone(database: Database) -> None:
    one, other = (take_in(database, make_solutions(2), make_recipe(seed=s)).job_id for s in (1, 2))
    cancel(database, one)
    assert claim(database).job_id == other


def _half_failed(database: Database) -> int:
    """Two shards of four; in each the second solution failed."""
    job = take_in(database, make_solutions(8), shard=4).job_id
    while (lease := try_claim(database)) is not None:
        solutions = load(database, lease)
        record(database, lease, [fail(s) if i == 1 else judge(s) for i, s in enumerate(solutions)])
        finish(database, lease)
    return job


def test_retry_judges_what_failed_anew_and_nothing_else(context: Context, database: Database) -> None:
    job = _half_failed(database)
    before = {o.ord: o.rewards for o in outcomes(database, job).values()}
    assert retry(database, job) == 2
    assert state(database, job) is JobState.RUNNING
    assert [(r.state, r.round, r.failures, r.n_ok, r.n_failed, r.steps_done) for r in shard_rows(database, job)] == [
        ("ready", 1, 0, 3, 0, 9)
    ] * 2
    assert_clean(context)
    lease = claim(database)
    assert lease.retry_epoch == 1
    assert [s.ord for s in load(database, lease)] == [1]
    hand_back(database, lease)
    work_off_all(database)
    after = {o.ord: o.rewards for o in outcomes(database, job).values()}
    assert {o for o in after if after[o] != before[o]} == {1, 5}
    assert progress(database, job).ok == 8
    assert retry(database, job) == 0
    assert_clean(context)


def test_retry_removes_the_critiques_of_what_it_repeats(context: Context, database: Database) -> None:
    job = take_in(database, make_solutions(2), shard=2).job_id
    lease = claim(database)
    one, two = load(database, lease)
    score = judge(two)
    failed = replace(score, status=ItemStatus.FAILED, reason="step 1: no verdict", rewards=(None, *score.rewards[1:]))
    unparsed = tuple(replace(c, verdict=Verdict.UNPARSED, p_yes=None) if c.step == 0 else c for c in score.critiques)
    record(database, lease, [judge(one), replace(failed, critiques=unparsed, first_error=None)])
    finish(database, lease)
    assert_clean(context)
    assert retry(database, job) == 1
    for table in ("verdicts", "critiques"):
        assert {r.ord for r in run(database, f"SELECT DISTINCT ord FROM {table}_j{job}")} == {one.ord}
    assert_clean(context)
    work_off_all(database)
    assert_clean(context)


def test_retry_after_a_split_takes_the_outcome_off_the_shard_that_recorded_it(
    context: Context, database: Database
) -> None:
    job = take_in(database, make_solutions(4), shard=4).job_id
    lease = claim(database)
    # Solution 3 fails under the first shard; then the shard splits, and 3 lies in the new half.
    record(database, lease, [fail(s) for s in load(database, lease) if s.ord == 3])
    fail_held(database, lease)
    assert fail_held(database, claim(database)) == "split"
    work_off_all(database)
    first, second = shard_rows(database, job)
    assert (first.n_failed, second.n_failed) == (1, 0)
    assert_clean(context)
    assert retry(database, job) == 1
    first, second = shard_rows(database, job)
    assert [(r.state, r.n_failed) for r in (first, second)] == [("done", 0), ("ready", 0)]
    assert_clean(context)
    work_off_all(database)
    assert [o.status for o in outcomes(database, job).values()] == ["ok"] * 4
    assert_clean(context)


def test_quarantined_solutions_are_retried_only_when_asked(context: Context, database: Database) -> None:
    job = take_in(database, make_solutions(1)).job_id
    assert [fail_held(database, claim(database)) for _ in range(3)] == ["again", "again", "quarantined"]
    assert retry(database, job) == 0
    assert retry(database, job, quarantined=True) == 1
    (row,) = shard_rows(database, job)
    assert (row.state, row.failures, row.round, row.n_quarantined, row.steps_done, row.error) == (
        "ready", 0, 1, 0, 0, None,
    )  # fmt: skip
    assert fail_held(database, claim(database)) == "again"
    work_off_all(database)
    assert progress(database, job).ok == 1
    assert_clean(context)


def test_retry_of_a_running_job_touches_finished_shards_only(context: Context, database: Database) -> None:
    job = take_in(database, make_solutions(4), shard=2).job_id
    first, running = claim(database), claim(database)
    for lease in (first, running):
        record(database, lease, [fail(load(database, lease)[0])])
    record(database, first, [judge(s) for s in load(database, first)])
    finish(database, first)
    assert retry(database, job) == 1
    assert [(r.state, r.round) for r in shard_rows(database, job)] == [("ready", 1), ("leased", 0)]
    record(database, running, [judge(s) for s in load(database, running)])
    finish(database, running)
    work_off_all(database)
    assert [o.status for o in outcomes(database, job).values()] == ["ok", "ok", "failed", "ok"]
    assert_clean(context)


def test_a_cancelled_job_is_not_retried(database: Database) -> None:
    job = take_in(database, make_solutions(2)).job_id
    cancel(database, job)
    with pytest.raises(Conflict, match="cancelled"):
        retry(database, job)


def test_delete_drops_everything_of_the_job_and_nothing_else(context: Context, database: Database) -> None:
    one, other = (take_in(database, make_solutions(3), make_recipe(seed=s)).job_id for s in (1, 2))
    with pytest.raises(Conflict, match=f"rprm-jobs cancel {one}"):
        delete(database, one)
    work_off_all(database)
    delete(database, one)
    left = run(database, "SELECT relname FROM pg_class WHERE relname ~ '_j[0-9]' AND relkind = 'r'")
    assert {r.relname for r in left} == {f"{t}_j{other}" for t in ("solutions", "scores", "verdicts", "critiques")}
    for table in ("jobs", "shards", "solutions", "scores"):
        column = "id" if table == "jobs" else "job_id"
        assert {r[0] for r in run(database, f"SELECT DISTINCT {column} FROM {table}")} == {other}
    with pytest.raises(NotFound):
        delete(database, one)
    assert_clean(context)
    assert take_in(database, make_solutions(3), make_recipe(seed=1), dedupe=True).created


def test_a_cancelled_job_can_be_deleted(database: Database) -> None:
    job = take_in(database, make_solutions(3)).job_id
    claim(database)
    cancel(database, job)
    delete(database, job)
    assert run(database, "SELECT count(*) FROM jobs")[0][0] == 0
