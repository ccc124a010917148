"""Failed attempts: tried again, split, quarantined; one bad rollout never takes others with it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from rprm_jobs.services.context import Context
from rprm_jobs.services.upkeep.sweep import sweep
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.queue import failures, leases
from rprm_jobs.store.records import JobState
from rprm_jobs.store.session import Database
from tests.support.jobs import assert_clean, make_solutions, outcomes, state, take_in, wait_for
from tests.support.store import (
    claim,
    fail_held,
    finish,
    judge,
    lapse,
    load,
    record,
    run,
    shard_rows,
    try_claim,
    work_off,
    work_off_all,
)

pytestmark = pytest.mark.integration


def fail_lapsed(database: Database, shard_id: int) -> str | None:
    lapse(database, shard_id)
    with database.transaction() as connection:
        verdict = failures.fail_lapsed(connection, shard_id)
    return None if verdict is None else verdict.outcome


def test_the_first_failure_is_tried_again(context: Context, database: Database) -> None:
    job = take_in(database, make_solutions(4), shard=4).job_id
    lease = claim(database)
    assert fail_held(database, lease, "ValueError: boom") == "again"
    (row,) = shard_rows(database, job)
    assert (row.state, row.failures, row.owner, row.error) == ("ready", 1, None, "attempt 1: ValueError: boom")
    work_off(database, claim(database))
    (row,) = shard_rows(database, job)
    assert (row.state, row.error) == ("done", None)
    assert_clean(context)


def test_the_second_failure_splits_what_is_left(context: Context, database: Database) -> None:
    job = take_in(database, make_solutions(9), shard=9).job_id
    lease = claim(database)
    solutions = load(database, lease)
    record(database, lease, [judge(s) for s in solutions if s.ord in (0, 4, 8)])
    assert fail_held(database, lease) == "again"
    assert fail_held(database, claim(database)) == "split"
    first, second = shard_rows(database, job)
    # Left were 1 2 3 5 6 7.
    assert (first.first_ord, first.last_ord, second.first_ord, second.last_ord) == (0, 4, 5, 8)
    assert {(r.state, r.failures) for r in (first, second)} == {("ready", 1)}
    assert (second.attempt, second.queue, second.round) == (0, first.queue, 0)
    assert_clean(context)
    work_off_all(database)
    assert state(database, job) is JobState.DONE
    assert_clean(context)


@pytest.mark.parametrize("poison", [0, 13, 31])
def test_a_poison_rollout_among_32_costs_eight_attempts(context: Context, database: Database, poison: int) -> None:
    job = take_in(database, make_solutions(32), shard=32).job_id
    bitten = 0
    while (lease := try_claim(database)) is not None:
        if any(s.ord == poison for s in load(database, lease)):
            bitten += 1
            fail_held(database, lease, "the worker died")
        else:
            work_off(database, lease)
    assert bitten == 8
    found = list(outcomes(database, job).values())
    assert [o.ord for o in found if o.status != "ok"] == [poison]
    assert (found[poison].status, (found[poison].reason or "")[9:]) == ("quarantined", ": the worker died")
    assert (found[poison].rewards, found[poison].first_error) == ([None] * 3, None)
    assert state(database, job) is JobState.DONE
    assert_clean(context)


def test_a_poison_whose_siblings_were_recorded_is_quarantined_at_the_third_failure(
    context: Context, database: Database
) -> None:
    job = take_in(database, make_solutions(8), shard=8).job_id
    lease = claim(database)
    record(database, lease, [judge(s) for s in load(database, lease) if s.ord != 3])
    # Two workers may die beside the last solution of a shard for reasons of their own.
    assert [fail_held(database, lease), fail_held(database, claim(database))] == ["again", "again"]
    assert fail_held(database, claim(database)) == "quarantined"
    (row,) = shard_rows(database, job)
    assert (row.state, row.n_ok, row.n_quarantined, row.steps_done) == ("done", 7, 1, 24)
    assert_clean(context)


def test_two_poisons_in_one_shard_are_both_found(context: Context, database: Database) -> None:
    job = take_in(database, make_solutions(16), shard=16).job_id
    while (lease := try_claim(database)) is not None:
        if {s.ord for s in load(database, lease)} & {4, 5}:
            fail_held(database, lease)
        else:
            work_off(database, lease)
    assert {o.ord for o in outcomes(database, job).values() if o.status == "quarantined"} == {4, 5}
    assert_clean(context)


def test_a_failure_after_everything_was_recorded_is_done(context: Context, database: Database) -> None:
    job = take_in(database, make_solutions(3), shard=3).job_id
    lease = claim(database)
    record(database, lease, [judge(s) for s in load(database, lease)])
    assert fail_lapsed(database, lease.shard_id) == "done"
    (row,) = shard_rows(database, job)
    assert (row.state, row.n_ok, row.n_quarantined) == ("done", 3, 0)
    assert_clean(context)


def test_the_sweeper_takes_what_lapsed_and_nothing_else(context: Context, database: Database) -> None:
    job = take_in(database, make_solutions(8), shard=2).job_id
    gone, alive, done, back = (claim(database, f"w{i}") for i in range(4))
    work_off(database, done)
    with database.transaction() as connection:
        leases.hand_back(connection, back)
    lapse(database, gone.shard_id)
    assert [(v.shard_id, v.outcome) for v in sweep(database)] == [(gone.shard_id, "again")]
    rows = {r.id: r for r in shard_rows(database, job)}
    assert (rows[gone.shard_id].failures, rows[gone.shard_id].error) == (1, "attempt 1: the worker w0 fell silent")
    assert rows[alive.shard_id].state == "leased"
    assert sweep(database) == []
    assert_clean(context)


def test_the_sweeper_leaves_what_was_renewed_finished_or_is_being_written(database: Database) -> None:
    take_in(database, make_solutions(6), shard=2)
    renewed, finished, written = (claim(database) for _ in range(3))
    for lease in (renewed, finished, written):
        lapse(database, lease.shard_id)
    with database.transaction() as connection:
        leases.renew(connection, [renewed], owner="w1", lease_s=60)
    finish(database, finished)
    with database.transaction() as generation_config:
        leases.fence(generation_config, written)
        with database.transaction() as connection:
            for lease in (renewed, finished, written):
                assert failures.fail_lapsed(connection, lease.shard_id) is None
    assert fail_lapsed(database, 10**9) is None


def test_after_an_outage_the_living_get_time_to_say_so(database: Database) -> None:
    take_in(database, make_solutions(2), shard=2)
    lease = claim(database)
    lapse(database, lease.shard_id)
    (up,) = run(database, "SELECT extract(epoch FROM now() - pg_postmaster_start_time())::float8 AS s")
    assert sweep(database, after_start_s=up.s + 60) == []
    with database.transaction() as connection:
        assert leases.renew(connection, [lease], owner="w1", lease_s=60) == {(lease.shard_id, lease.attempt)}
    lapse(database, lease.shard_id)
    assert [settled.outcome for settled in sweep(database, after_start_s=up.s / 2)] == ["again"]


def test_sweepers_at_once_count_one_failure(context: Context, database: Database) -> None:
    job = take_in(database, make_solutions(20), shard=1).job_id
    for _ in range(20):
        lapse(database, claim(database).shard_id)
    with ThreadPoolExecutor(4) as pool:
        settled = [v for got in pool.map(lambda _: sweep(database), range(4)) for v in got]
    assert len({v.shard_id for v in settled}) == len(settled)
    sweep(database)
    assert {r.failures for r in shard_rows(database, job)} == {1}
    assert_clean(context)


@pytest.mark.parametrize("lapses", [False, True])
def test_a_split_during_a_cancel_leaves_no_live_half(
    context: Context, database: Database, monkeypatch: pytest.MonkeyPatch, lapses: bool
) -> None:
    job = take_in(database, make_solutions(4), shard=4).job_id
    fail_held(database, claim(database))
    lease = claim(database)
    if lapses:
        lapse(database, lease.shard_id)
    split, go_on = threading.Event(), threading.Event()

    def between_the_halves(_: str) -> None:
        split.set()
        go_on.wait(10)

    monkeypatch.setattr(failures, "crash_point", between_the_halves)

    def slow_split() -> None:
        with database.transaction() as connection:
            settled = (
                failures.fail_lapsed(connection, lease.shard_id)
                if lapses
                else failures.fail_held(connection, lease, "boom")
            )
        assert settled is not None
        assert settled.outcome == "split"

    def cancel() -> bool:
        with database.transaction() as connection:
            return jobs.cancel(connection, job)

    with ThreadPoolExecutor(2) as pool:
        splitting = pool.submit(slow_split)
        assert split.wait(10)
        cancelling = pool.submit(cancel)
        wait_for(lambda: run(database, _WAITING)[0].n, what="the cancel waits")
        go_on.set()
        splitting.result(10)
        assert cancelling.result(10)
    assert [r.state for r in shard_rows(database, job)] == ["cancelled", "cancelled"]
    assert_clean(context)


_WAITING = "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def test_any_error_text_is_storable_and_bounded(database: Database) -> None:
    job = take_in(database, make_solutions(1)).job_id
    assert fail_held(database, claim(database), "bad \x00 \ud800 " + "x" * 10_000) == "again"
    (row,) = shard_rows(database, job)
    assert row.error.startswith("attempt 1: bad \ufffd \ufffd xxx")
    assert len(row.error) == 2000
    assert fail_held(database, claim(database)) == "again"
    assert fail_held(database, claim(database), "\ud800") == "quarantined"
    assert [o.reason for o in outcomes(database, job).values()] == ["attempt 3: \ufffd"]
