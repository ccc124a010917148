"""The slots and the lease keeper: what they claim, when they pause, and what they do about any error."""

from __future__ import annotations

import json
import threading
import time

import pytest

from rprm_jobs.errors import EngineDied, StoreUnavailable
from rprm_jobs.store.queue import workers
from rprm_jobs.store.records import JobState
from tests.support import store
from tests.support.jobs import make_solutions, state, take_in, wait_for
from tests.support.worker_parts import WorkerParts, allow, refuse
from workers import runtime as module
from workers.leases import HeldLease
from workers.store_gate import CLAIMS, LEASES, RESULTS

pytestmark = pytest.mark.integration


def shards(parts: WorkerParts, job: int) -> list[tuple[str, int]]:
    return [(row.state, row.failures) for row in store.shard_rows(parts.database, job)]


def test_one_notification_works_off_all_that_is_ready(parts: WorkerParts) -> None:
    job = take_in(parts.database, make_solutions(9), shard=3).job_id
    parts.runtime.notify()
    assert state(parts.database, job) is JobState.DONE
    assert parts.keeper.held() == []


def test_work_that_waits_is_found_at_once(parts: WorkerParts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_IDLE_LOOK_S", 3600.0)
    job = take_in(parts.database, make_solutions(2)).job_id
    parts.runtime.start()
    wait_for(lambda: state(parts.database, job) is JobState.DONE, what="the work that was there is done")
    parts.stop.drain()
    assert parts.runtime.wait_until_drained(10)


def test_a_refusal_costs_one_shard_at_a_time_and_ends_by_itself(parts: WorkerParts) -> None:
    job = take_in(parts.database, make_solutions(12), shard=2).job_id
    asked: list[str] = []
    parts.engine.before = asked.append
    refuse(parts.database, "53100")
    waits = []
    for _ in range(8):
        before = len(asked)
        parts.runtime.notify()
        parts.runtime.notify()
        # Two solutions of three steps: one shard was tried, whatever the number of notifications.
        assert len(asked) - before == 6
        started = parts.clock.now
        while not parts.gate.enter():
            parts.clock.now += 0.5
        parts.gate.leave()
        waits.append(parts.clock.now - started)
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert shards(parts, job) == [("ready", 0)] * 6
    allow(parts.database)
    parts.runtime.notify()
    assert shards(parts, job) == [("done", 0)] * 6
    assert parts.troubles.current() is None


def test_a_claim_that_is_refused_pauses_claiming(parts: WorkerParts) -> None:
    job = take_in(parts.database, make_solutions(2)).job_id
    refuse(parts.database, "42501", "shards", "UPDATE")
    parts.runtime.notify()
    trouble = parts.troubles.current()
    assert trouble is not None
    assert trouble.what.startswith(CLAIMS)
    assert not parts.gate.enter()
    allow(parts.database, "shards")
    parts.clock.now += 1.0
    parts.runtime.notify()
    assert state(parts.database, job) is JobState.DONE
    assert parts.troubles.current() is None


def test_an_unforeseen_error_of_a_claim_is_reported_and_the_slot_is_free_again(
    parts: WorkerParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = take_in(parts.database, make_solutions(2)).job_id

    def bug(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(module.leases, "claim", bug)
        for _ in range(3):
            parts.runtime.notify()
    trouble = parts.troubles.current()
    assert trouble is not None
    assert "ZeroDivisionError: a bug" in trouble.what
    parts.runtime.notify()
    assert state(parts.database, job) is JobState.DONE
    assert parts.troubles.current() is None


def test_a_worker_that_holds_a_previously_failed_shard_claims_no_other(parts: WorkerParts) -> None:
    job = take_in(parts.database, make_solutions(4), shard=2).job_id
    lease = store.claim(parts.database, "w0")
    store.fail_held(parts.database, lease)
    held = HeldLease(store.claim(parts.database, "w1"))
    assert held.lease.previously_failed
    parts.keeper.add(held)
    parts.runtime.notify()
    assert shards(parts, job) == [("leased", 1), ("ready", 0)]
    parts.keeper.remove(held)
    parts.runtime.notify()
    assert shards(parts, job) == [("leased", 1), ("done", 0)]


def test_a_worker_that_holds_a_shard_claims_no_previously_failed_one(parts: WorkerParts) -> None:
    job = take_in(parts.database, make_solutions(4), shard=2).job_id
    failing, other = store.claim(parts.database, "w0"), HeldLease(store.claim(parts.database, "w1"))
    store.fail_held(parts.database, failing)
    parts.keeper.add(other)
    parts.runtime.notify()
    assert shards(parts, job) == [("ready", 1), ("leased", 0)]
    parts.keeper.remove(other)
    parts.runtime.notify()
    assert shards(parts, job) == [("done", 1), ("leased", 0)]


def test_a_job_of_another_version_is_left_to_others_and_harms_nobody(parts: WorkerParts) -> None:
    newer = take_in(parts.database, make_solutions(4), shard=2, priority=9).job_id
    job = take_in(parts.database, make_solutions(4), shard=2).job_id
    (recipe,) = store.run(parts.database, "SELECT recipe FROM jobs WHERE id = :job", job=newer)
    store.run(
        parts.database,
        """UPDATE jobs SET recipe = recipe || '{"stopping": {"kind": "oracle"}}' WHERE id = :job""",
        job=newer,
    )
    parts.runtime.notify()
    assert shards(parts, newer) == [("ready", 0)] * 2
    assert state(parts.database, job) is JobState.DONE
    trouble = parts.troubles.current()
    assert trouble is not None
    assert trouble.what.startswith(f"job {newer} is left to other workers: ")
    store.run(
        parts.database,
        "UPDATE jobs SET recipe = CAST(:recipe AS jsonb) WHERE id = :job",
        recipe=json.dumps(recipe.recipe),
        job=newer,
    )
    parts.runtime.notify()
    assert shards(parts, newer) == [("ready", 0)] * 2
    parts.clock.now += 600.0
    parts.runtime.notify()
    assert state(parts.database, newer) is JobState.DONE
    assert parts.troubles.current() is None


def test_an_engine_that_dies_stops_the_worker_and_hands_back(parts: WorkerParts) -> None:
    job = take_in(parts.database, make_solutions(4), shard=2).job_id

    def die(_: str) -> None:
        raise EngineDied("dead")

    parts.engine.before = die
    parts.runtime.notify()
    assert parts.stop.engine_died is not None
    assert parts.stop.stopping()
    assert shards(parts, job) == [("ready", 0)] * 2
    assert parts.runtime.wait_until_drained(1.0)


def test_nothing_is_claimed_while_draining(parts: WorkerParts) -> None:
    job = take_in(parts.database, make_solutions(2)).job_id
    parts.stop.drain()
    parts.runtime.notify()
    assert shards(parts, job) == [("ready", 0)]


def test_the_keeper_renews_and_tells_of_trouble(parts: WorkerParts) -> None:
    take_in(parts.database, make_solutions(2))
    held = HeldLease(store.claim(parts.database, "w1", lease_s=5.0))
    parts.keeper.add(held)
    parts.troubles.report("the sweep fails", ValueError("rubbish"))
    parts.keeper.start()
    wait_for(lambda: _silent(parts) is not None and _trouble(parts) is not None, what="a heartbeat with the trouble")
    assert _trouble(parts) == "the sweep fails: ValueError: rubbish"
    parts.troubles.clear("the sweep fails")
    wait_for(lambda: _trouble(parts) is None, what="a heartbeat without")
    until = store.run(parts.database, "SELECT lease_until - now() > interval '30 s' AS renewed FROM shards")
    assert until[0].renewed
    parts.keeper.stop()
    assert _silent(parts) is None


def _alive(parts: WorkerParts) -> list[workers.WorkerInfo]:
    with parts.database.transaction() as connection:
        return workers.alive(connection)


def _silent(parts: WorkerParts) -> float | None:
    return next((worker.silent_s for worker in _alive(parts)), None)


def _trouble(parts: WorkerParts) -> str | None:
    return next((worker.trouble.what for worker in _alive(parts) if worker.trouble is not None), None)


@pytest.mark.parametrize("error", [StoreUnavailable("away"), ZeroDivisionError("a bug")])
def test_leases_are_given_up_when_none_was_renewed_for_the_length_of_one(
    parts: WorkerParts, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    take_in(parts.database, make_solutions(2))
    held = HeldLease(store.claim(parts.database, "w1"))
    stopped = threading.Event()
    held.on_lost = stopped.set

    def fail(*_: object, **__: object) -> None:
        raise error

    keeper = parts.new_keeper(lease_s=0.3)
    keeper.add(held)
    keeper.start()
    monkeypatch.setattr(module.leases, "renew", fail)
    began = time.monotonic()
    assert stopped.wait(20)
    assert held.lost.is_set()
    assert held.refusal is None
    assert time.monotonic() - began > 0.2
    assert keeper.alive()
    keeper.stop()


def test_a_lease_that_the_store_refuses_to_renew_is_handed_back_and_not_counted(parts: WorkerParts) -> None:
    job = take_in(parts.database, make_solutions(2)).job_id
    keeper = parts.new_keeper(lease_s=0.3)
    keeper.start()
    parts.use(keeper)
    judging = threading.Event()

    def slow(_: str) -> None:
        if not judging.is_set():
            refuse(parts.database, "53100", "shards", "UPDATE")
            judging.set()
        # On the loop's thread: no result comes before the lease is lost.
        time.sleep(0.3)

    parts.engine.before = slow
    slot = threading.Thread(target=parts.runtime.notify)
    slot.start()
    wait_for(lambda: parts.troubles.has(LEASES), what="the refusal is noted")
    wait_for(lambda: parts.troubles.has(RESULTS), what="the attempt has ended")
    allow(parts.database, "shards")
    slot.join(20)
    assert shards(parts, job) == [("ready", 0)]
    wait_for(lambda: not parts.troubles.has(LEASES), what="renewals work again")
    keeper.stop()
