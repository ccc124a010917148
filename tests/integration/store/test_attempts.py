"""Every failed attempt keeps its error; the halves of a split keep the history; a deleted job keeps none."""

from __future__ import annotations

import pytest

from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.query import failed_attempts
from rprm_jobs.services.upkeep.sweep import sweep
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.queue import attempts, failures
from rprm_jobs.store.records import FailedAttempt
from rprm_jobs.store.session import Database
from tests.support.jobs import assert_clean, make_recipe, make_solutions, take_in
from tests.support.store import claim, fail_held, finish, hand_back, judge, lapse, load, record, run, work_off_all

pytestmark = pytest.mark.integration


def test_each_failure_keeps_its_worker_its_reason_and_what_became_of_the_shard(
    context: Context, database: Database
) -> None:
    job = take_in(database, make_solutions(4), shard=4).job_id
    first = claim(database, "w1")
    assert fail_held(database, first, "ValueError: boom\nand more") == "again"
    lapse(database, claim(database, "w2").shard_id)
    sweep(database)
    one, two = failed_attempts(context, job)
    assert (one.worker, one.attempt, one.reason, one.outcome) == ("w1", 1, "ValueError: boom\nand more", "again")
    assert (two.worker, two.attempt, two.reason, two.outcome) == ("w2", 2, "the worker w2 fell silent", "split")
    assert (two.shard_id, two.first_ord, two.last_ord, two.engine) == (first.shard_id, 0, 3, "scripted 1")
    assert one.claimed_at is not None
    assert one.claimed_at <= one.failed_at <= two.failed_at
    assert one.failed_at.tzinfo is not None


def test_the_halves_of_a_split_keep_the_history_of_the_whole_down_to_the_quarantine(
    context: Context, database: Database
) -> None:
    job = take_in(database, make_solutions(4), shard=4).job_id
    while any(row.state == "ready" for row in run(database, "SELECT state FROM shards")):
        lease = claim(database)
        solutions = load(database, lease)
        if any(s.ord == 2 for s in solutions):
            fail_held(database, lease, f"number {lease.attempt}")
        else:
            record(database, lease, [judge(s) for s in solutions])
            finish(database, lease)
    story = [a for a in failed_attempts(context, job) if a.first_ord <= 2 <= a.last_ord]
    assert [a.outcome for a in story] == ["again", "split", "split", "again", "quarantined"]
    assert [(a.first_ord, a.last_ord) for a in story] == [(0, 3), (0, 3), (2, 3), (2, 2), (2, 2)]
    assert_clean(context)


def test_what_is_no_failure_is_not_in_it(context: Context, database: Database) -> None:
    job = take_in(database, make_solutions(2), shard=2).job_id
    hand_back(database, claim(database))
    stale = claim(database)
    lapse(database, stale.shard_id)
    sweep(database)
    assert fail_held(database, stale, "too late") is None
    work_off_all(database)
    assert [a.reason for a in failed_attempts(context, job)] == ["the worker w1 fell silent"]


def test_a_deleted_job_takes_its_history_along(database: Database) -> None:
    kept, dropped = (take_in(database, make_solutions(1), make_recipe(seed=seed)).job_id for seed in (1, 2))
    for _ in range(2):
        fail_held(database, claim(database, after=0))
    for _ in range(2):
        fail_held(database, claim(database, after=kept))
    work_off_all(database)
    with database.transaction() as connection:
        jobs.delete(connection, dropped)
    assert run(database, "SELECT DISTINCT job_id FROM failed_attempts") == [(kept,)]


def test_the_oldest_of_very_many_are_dropped(
    context: Context, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "KEPT_A_JOB", 5)
    monkeypatch.setattr(attempts, "_TRIM_EVERY", 4)
    job = take_in(database, make_solutions(12), shard=1).job_id
    other = take_in(database, make_solutions(1), make_recipe(seed=1)).job_id
    fail_held(database, claim(database, after=job), "of another job")
    for number in range(24):
        fail_held(database, claim(database, after=0), f"error {number}")
    found: list[FailedAttempt] = failed_attempts(context, job)
    assert 5 <= len(found) < 5 + 4
    assert [a.reason for a in found] == [f"error {number}" for number in range(24 - len(found), 24)]
    assert [a.reason for a in failed_attempts(context, other)] == ["of another job"]


@pytest.mark.parametrize("reason", ["nul \x00", "half a pair \ud800", "x" * 100_000])
def test_any_reason_is_storable_and_bounded(context: Context, database: Database, reason: str) -> None:
    job = take_in(database, make_solutions(1)).job_id
    fail_held(database, claim(database), reason)
    (found,) = failed_attempts(context, job)
    assert 0 < len(found.reason) <= 2000


def engine_died(database: Database, *, progress: bool) -> str:
    lease = claim(database, "w1")
    with database.transaction() as connection:
        settlement = failures.engine_died(connection, lease, "EngineDied: vLLM stopped", progress=progress)
    assert settlement is not None
    return settlement.outcome


def test_the_deaths_of_engines_count_from_the_fourth_without_a_result(context: Context, database: Database) -> None:
    job = take_in(database, make_solutions(4), shard=4).job_id
    outcomes = [engine_died(database, progress=progress) for progress in (True, False, True, False, False, True)]
    assert outcomes == ["handed back", "engine died", "handed back", "engine died", "engine died", "handed back"]
    assert run(database, "SELECT sum(failures) AS n FROM shards")[0].n == 0
    assert [engine_died(database, progress=False) for _ in range(2)] == ["again", "split"]
    # Both halves have the history of the whole, so the next death is counted at once.
    assert engine_died(database, progress=False) in ("again", "split")
    assert {attempt.reason for attempt in failed_attempts(context, job)} == {"EngineDied: vLLM stopped"}


def test_a_lease_that_is_lost_has_no_death_to_report(database: Database) -> None:
    take_in(database, make_solutions(2))
    lease = claim(database, "w1")
    hand_back(database, lease)
    with database.transaction() as connection:
        assert failures.engine_died(connection, lease, "dead", progress=False) is None
