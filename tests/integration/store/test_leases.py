"""Leases: the order of claims, each shard to one holder, and nothing for whoever does not hold it any more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from rprm_jobs.errors import LeaseLost
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.queue import leases, workers
from rprm_jobs.store.records import Lease, WorkerInfo
from rprm_jobs.store.session import Database
from tests.support.jobs import JUDGE, make_recipe, make_solutions, take_in
from tests.support.store import (
    claim,
    fail_held,
    finish,
    hand_back,
    judge,
    lapse,
    load,
    record,
    run,
    shard_rows,
    try_claim,
    work_off,
)

pytestmark = pytest.mark.integration


def test_claims_go_by_priority_and_then_by_age(database: Database) -> None:
    low = take_in(database, make_solutions(4), make_recipe(seed=1), shard=2, priority=-1).job_id
    old = take_in(database, make_solutions(4), make_recipe(seed=2), shard=2).job_id
    new = take_in(database, make_solutions(2), make_recipe(seed=3), shard=2).job_id
    urgent = take_in(database, make_solutions(4), make_recipe(seed=4), shard=2, priority=7).job_id
    taken = [claim(database) for _ in range(7)]
    assert [lease.job_id for lease in taken] == [urgent, urgent, old, old, new, low, low]
    assert [lease.first_ord for lease in taken] == [0, 2, 0, 2, 0, 0, 2]
    assert try_claim(database) is None


def test_claims_in_turn_go_round_the_waiting_jobs(database: Database) -> None:
    urgent = take_in(database, make_solutions(8), make_recipe(seed=1), shard=2, priority=7).job_id
    low = take_in(database, make_solutions(4), make_recipe(seed=2), shard=2, priority=-1).job_id
    new = take_in(database, make_solutions(2), make_recipe(seed=3), shard=2).job_id
    taken = [claim(database, after=0)]
    for _ in range(4):
        taken.append(claim(database, after=taken[-1].job_id))
    assert [lease.job_id for lease in taken] == [urgent, low, new, urgent, low]
    assert [lease.first_ord for lease in taken] == [0, 0, 0, 2, 2]
    assert [claim(database).job_id for _ in range(2)] == [urgent, urgent]
    assert try_claim(database, after=urgent) is None


def test_a_claim_in_turn_passes_by_what_another_is_just_claiming(database: Database) -> None:
    jobs = [take_in(database, make_solutions(2), make_recipe(seed=n), shard=2).job_id for n in range(2)]
    with database.transaction() as connection:
        held = connection.execute(text("SELECT id FROM shards WHERE job_id = :id FOR UPDATE"), {"id": jobs[0]})
        assert held.one()
        assert claim(database, after=jobs[1]).job_id == jobs[1]
        assert try_claim(database, after=0) is None
    assert claim(database, after=0).job_id == jobs[0]


def test_a_claim_in_turn_looks_at_one_shard_however_many_wait(database: Database) -> None:
    for number in range(20):
        take_in(database, make_solutions(10), make_recipe(seed=number), shard=1)
    run(database, "ANALYZE shards")
    values = {
        "queue": JUDGE.queue,
        "owner": "w1",
        "engine": "e",
        "lease_s": 60,
        "exclusive": False,
        "after": 7,
        "without": [],
        "at_least": leases.LOWEST_PRIORITY,
    }
    with database.transaction() as connection:
        # The table is small enough to be read whole: what counts is that it need not be.
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = connection.execute(text(f"EXPLAIN {leases._CLAIM_IN_TURN.text}"), values).scalars().all()
    # The alive workers are few; shards are not to be sorted.
    assert all("hashtext" in line for line in plan if "Sort Key" in line)
    assert "ix_shards_in_turn" in "".join(plan)


def test_a_claim_sees_its_own_queue_only(database: Database) -> None:
    take_in(database, make_solutions(1))
    assert try_claim(database, queue="another") is None
    assert try_claim(database) is not None


def test_a_claim_says_who_and_for_how_long(database: Database) -> None:
    job = take_in(database, make_solutions(3)).job_id
    lease = claim(database, "host:1", lease_s=30)
    (row,) = shard_rows(database, job)
    assert lease == Lease(row.id, job, 1, "host:1", 0, 2, 0)
    assert lease.log_context() == {"job": job, "shard": row.id, "attempt": 1}
    assert (row.state, row.owner, row.engine, row.attempt) == ("leased", "host:1", "scripted 1", 1)
    assert (row.lease_until - row.claimed_at).total_seconds() == 30


def test_a_claim_passes_over_what_another_is_claiming_just_now(database: Database) -> None:
    take_in(database, make_solutions(4), shard=2)
    with database.transaction() as connection:
        first = leases.claim(connection, queue=JUDGE.queue, owner="a", engine="e", lease_s=9)
        second = claim(database, "b")
        assert first is not None
        assert (first.first_ord, second.first_ord) == (0, 2)
        assert try_claim(database, "c") is None


def test_a_suspect_goes_to_a_worker_that_holds_nothing_else(database: Database) -> None:
    take_in(database, make_solutions(6), shard=2)
    previously_failed = claim(database)
    assert not previously_failed.previously_failed
    fail_held(database, previously_failed)

    def claim_beside_others() -> Lease | None:
        with database.transaction() as connection:
            return leases.claim(connection, queue=JUDGE.queue, owner="a", engine="e", lease_s=9, exclusive=False)

    # It stays the most urgent: whoever cannot take it is to finish what it holds, and not to pass it over.
    assert claim_beside_others() is None
    again = claim(database)
    assert (again.shard_id, again.failures, again.previously_failed) == (previously_failed.shard_id, 1, True)
    other = claim_beside_others()
    assert other is not None
    assert not other.previously_failed


def announce(database: Database, *names: str, queue: str = JUDGE.queue) -> None:
    for name in names:
        info = WorkerInfo(name, queue, "j", "e", "h", 1, 4, datetime.now(UTC), 0.0, 0, 0, None)
        with database.transaction() as connection:
            workers.announce(connection, info)


def claim_as(database: Database, owner: str, *, exclusive: bool, after: int | None = None) -> Lease | None:
    with database.transaction() as connection:
        return leases.claim(
            connection, queue=JUDGE.queue, owner=owner, engine="e", lease_s=60, exclusive=exclusive, after=after
        )


@pytest.mark.parametrize("after", [None, 0])
def test_one_worker_makes_room_for_a_shard_that_failed_and_the_others_pass_it_by(
    database: Database, after: int | None
) -> None:
    names = [f"w{i}" for i in range(5)]
    announce(database, *names)
    take_in(database, make_solutions(12), shard=1)
    failed = claim(database)
    fail_held(database, failed)
    claimed = {name: claim_as(database, name, exclusive=False, after=after) for name in names}
    (chosen,) = [name for name, lease in claimed.items() if lease is None]
    assert [lease.first_ord for lease in claimed.values() if lease] == [1, 2, 3, 4]
    # Asked again it is the same one, as long as the shard waits.
    assert claim_as(database, chosen, exclusive=False, after=after) is None
    taken = claim_as(database, chosen, exclusive=True, after=after)
    assert taken is not None
    assert (taken.shard_id, taken.previously_failed) == (failed.shard_id, True)
    assert all(claim_as(database, name, exclusive=False, after=after) for name in names if name != chosen)


def test_the_one_that_makes_room_is_replaced_when_it_falls_silent_or_cannot_claim(database: Database) -> None:
    names = [f"w{i}" for i in range(4)]
    announce(database, *names)
    take_in(database, make_solutions(40), shard=1)
    fail_held(database, claim(database))
    gone: set[str] = set()
    for statement in ("seen_at = now() - interval '61 s'", "trouble = 'disk full'", "queue = 'another'"):
        (chosen,) = [n for n in names if n not in gone and claim_as(database, n, exclusive=False) is None]
        run(database, f"UPDATE workers SET {statement} WHERE id = :id", id=chosen)
        gone.add(chosen)
    assert len(gone) == 3


def test_a_shard_that_failed_is_not_starved_by_a_stream_of_work(database: Database) -> None:
    """Two workers of two slots each, under work that never ends: the failed shard is judged, alone."""
    announce(database, "a", "b")
    take_in(database, make_solutions(1), shard=1)
    failed = claim(database)
    take_in(database, make_solutions(60), make_recipe(seed=1), shard=1)
    held = {name: [claim(database, name)] for name in ("a", "b")}
    fail_held(database, failed)
    for turn in range(20):
        for name, mine in held.items():
            while len(mine) < 2 and not any(lease.previously_failed for lease in mine):
                lease = claim_as(database, name, exclusive=not mine)
                if lease is None:
                    break
                mine.append(lease)
            if any(lease.shard_id == failed.shard_id for lease in mine):
                assert len(mine) == 1
                assert turn <= 3
                assert len(held["b" if name == "a" else "a"]) > 0
                return
            # Of what it holds one shard ends at a time, so that it is never empty by itself.
            work_off(database, mine.pop(0))
    raise AssertionError("nobody took it")


def test_an_urgent_job_goes_before_a_shard_that_failed(database: Database) -> None:
    take_in(database, make_solutions(1), shard=1)
    fail_held(database, claim(database))
    urgent = take_in(database, make_solutions(1), make_recipe(seed=1), shard=1, priority=5).job_id
    lease = claim_as(database, "a", exclusive=False)
    assert lease is not None
    assert lease.job_id == urgent


def test_a_claim_that_was_rolled_back_never_was(database: Database) -> None:
    job = take_in(database, make_solutions(2)).job_id
    connection = database.engine.connect()
    assert leases.claim(connection, queue=JUDGE.queue, owner="a", engine="e", lease_s=9) is not None
    connection.close()
    assert [(r.state, r.attempt) for r in shard_rows(database, job)] == [("ready", 0)]


def test_many_at_once_get_every_shard_once(database: Database) -> None:
    take_in(database, make_solutions(60), shard=1)
    start = threading.Barrier(6)

    def grab(name: int) -> list[int]:
        start.wait()
        mine = []
        while (lease := try_claim(database, f"w{name}")) is not None:
            mine.append(lease.shard_id)
        return mine

    with ThreadPoolExecutor(6) as pool:
        taken = [shard for got in pool.map(grab, range(6)) for shard in got]
    assert len(taken) == len(set(taken)) == 60


def test_renewing_prolongs_what_is_held_and_names_it(database: Database) -> None:
    take_in(database, make_solutions(8), shard=2)
    mine = [claim(database, "me", lease_s=1) for _ in range(3)]
    other = claim(database, "other", lease_s=1)
    hand_back(database, mine[0])
    finish(database, mine[1])
    with database.transaction() as connection:
        kept = leases.renew(connection, [*mine, other], owner="me", lease_s=500)
    assert kept == {(mine[2].shard_id, 1)}
    left = {r.id: r.left for r in run(database, _LEFT)}
    assert left[mine[2].shard_id] > 400
    assert left[other.shard_id] < 2


_LEFT = "SELECT id, extract(epoch FROM lease_until - now()) AS left FROM shards WHERE state = 'leased'"


def test_renewing_nothing_is_harmless(database: Database) -> None:
    with database.transaction() as connection:
        assert leases.renew(connection, [], owner="me", lease_s=5) == set()


def test_a_lapsed_lease_is_held_until_it_is_swept(database: Database) -> None:
    take_in(database, make_solutions(2))
    lease = claim(database)
    lapse(database, lease.shard_id)
    with database.transaction() as connection:
        assert leases.renew(connection, [lease], owner="w1", lease_s=60) == {(lease.shard_id, 1)}
    record(database, lease, [judge(s) for s in load(database, lease)])


ENDINGS: dict[str, Callable[[Database, Lease], Any]] = {
    "claimed by another": lambda db, lease: (hand_back(db, lease), claim(db, "w2")),
    "claimed again by the same worker": lambda db, lease: (hand_back(db, lease), claim(db, lease.owner)),
    "handed back": lambda db, lease: hand_back(db, lease),
    "finished": lambda db, lease: finish(db, lease),
    "failed": lambda db, lease: fail_held(db, lease),
    "cancelled": lambda db, lease: _cancel(db, lease.job_id),
}


def _cancel(database: Database, job_id: int) -> None:
    with database.transaction() as connection:
        jobs.cancel(connection, job_id)


@pytest.mark.parametrize("ending", ENDINGS)
def test_whoever_lost_the_lease_writes_nothing(database: Database, ending: str) -> None:
    job = take_in(database, make_solutions(3), shard=3).job_id
    lease = claim(database)
    scores = [judge(s) for s in load(database, lease)]
    ENDINGS[ending](database, lease)
    before = shard_rows(database, job)
    for act in (lambda: record(database, lease, scores), lambda: finish(database, lease)):
        with pytest.raises(LeaseLost, match=f"shard {lease.shard_id}"):
            act()
    assert hand_back(database, lease) is False
    assert fail_held(database, lease) is None
    with database.transaction() as connection:
        assert leases.renew(connection, [lease], owner=lease.owner, lease_s=60) == set()
    assert shard_rows(database, job) == before
    assert run(database, f"SELECT count(*) FROM scores_j{job}")[0][0] == 0


def test_an_attempt_of_the_future_or_another_owner_is_not_the_holder(database: Database) -> None:
    take_in(database, make_solutions(1))
    lease = claim(database)
    for stranger in (
        Lease(lease.shard_id, lease.job_id, lease.attempt + 1, lease.owner, 0, 0, 0),
        Lease(lease.shard_id, lease.job_id, lease.attempt, "w2", 0, 0, 0),
    ):
        with pytest.raises(LeaseLost):
            finish(database, stranger)


def test_a_hand_back_counts_no_failure_and_keeps_what_was_recorded(database: Database) -> None:
    job = take_in(database, make_solutions(4), shard=4).job_id
    lease = claim(database)
    record(database, lease, [judge(s) for s in load(database, lease)[:1]])
    assert hand_back(database, lease)
    (row,) = shard_rows(database, job)
    assert (row.state, row.failures, row.attempt, row.n_ok, row.owner) == ("ready", 0, 1, 1, None)
    again = claim(database, "w2")
    assert again.attempt == 2
    assert [s.ord for s in load(database, again)] == [1, 2, 3]


def test_strays_are_handed_back_and_nothing_else(database: Database) -> None:
    job = take_in(database, make_solutions(4), shard=1).job_id
    known, stray, other = claim(database, "me"), claim(database, "me"), claim(database, "other")
    with database.transaction() as connection:
        assert leases.hand_back_strays(connection, "me", [known.shard_id]) == 1
        assert leases.hand_back_strays(connection, "me", [known.shard_id]) == 0
    states = {r.id: r.state for r in shard_rows(database, job)}
    assert (states[known.shard_id], states[stray.shard_id], states[other.shard_id]) == ("leased", "ready", "leased")
    with database.transaction() as connection:
        assert leases.hand_back_strays(connection, "me", []) == 1


def test_a_shard_is_finished_once(database: Database) -> None:
    job = take_in(database, make_solutions(2)).job_id
    lease = claim(database)
    work_off(database, lease)
    with pytest.raises(LeaseLost):
        finish(database, lease)
    (row,) = shard_rows(database, job)
    assert (row.state, row.owner, row.lease_until, row.error) == ("done", None, None, None)
    assert row.finished_at >= row.claimed_at
    assert try_claim(database) is None
