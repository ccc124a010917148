"""The lease keeper against a store that answers, forgets, refuses or falls silent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from rprm_jobs.engine import EngineStats
from rprm_jobs.errors import StoreError, StoreUnavailable
from rprm_jobs.store.records import Lease, WorkerInfo
from tests.support.jobs import wait_for
from workers.leases import HeldLease, LeaseKeeper
from workers.store_gate import StoreGate
from workers.troubles import Troubles

ME = WorkerInfo("w1", "queue", "judge", "engine", "host", 1, 4, datetime.now(UTC), 0.0, 0, 0, None)
AWAY = StoreUnavailable("Postgres is down")


class Store:
    """Knows leases by (shard, attempt). `error` is raised by every transaction while it is set."""

    def __init__(self) -> None:
        self.known: set[tuple[int, int]] = set()
        self.error: Callable[[], Exception | None] = lambda: None
        self.during_renewal: Callable[[], object] = lambda: None
        self.renewals = 0
        self.tries = 0
        self.statements: list[tuple[str, dict[str, Any]]] = []

    @contextmanager
    def transaction(self) -> Iterator[Store]:
        self.tries += 1
        if (error := self.error()) is not None:
            raise error
        yield self

    def execute(self, statement: object, values: dict[str, Any]) -> list[SimpleNamespace]:
        self.statements.append((str(statement), values))
        if "lease_until" not in str(statement):
            return []
        asked = list(zip(values["ids"], values["attempts"], strict=True))
        answer = [SimpleNamespace(id=id_, attempt=attempt) for id_, attempt in asked if (id_, attempt) in self.known]
        self.during_renewal()
        self.renewals += 1
        return answer

    def values_of(self, part: str) -> list[dict[str, Any]]:
        """The values of all statements so far that contain this."""
        return [values for statement, values in self.statements if part in statement]


@pytest.fixture
def store() -> Store:
    return Store()


@contextmanager
def keeping(store: Store, *, lease_s: float = 60.0, troubles: Troubles | None = None, key: int | None = None) -> Any:
    """A keeper that renews many times a second."""
    shared = troubles or Troubles()
    keeper = LeaseKeeper(
        store,  # type: ignore[arg-type]
        ME,
        lambda: EngineStats(10, 20, 0.5),
        shared,
        StoreGate(shared),
        lease_s=lease_s,
        renew_s=0.01,
        lock_key=lambda: key,
    )
    keeper.start()
    try:
        yield keeper
    finally:
        keeper.stop()


def hold(store: Store, keeper: LeaseKeeper, shard_id: int, attempt: int = 1) -> HeldLease:
    """A lease that store and keeper know."""
    held = HeldLease(Lease(shard_id, 1, attempt, "w1", 0, 7, 0))
    store.known.add((shard_id, attempt))
    keeper.add(held)
    return held


def wait_renewals(store: Store, more: int = 3) -> None:
    goal = store.renewals + more
    wait_for(lambda: store.renewals >= goal, what="leases are renewed", every=0.005)


def test_what_is_held_is_renewed_with_the_heartbeat_and_what_is_removed_no_longer(store: Store) -> None:
    with keeping(store, key=77) as keeper:
        first, second = hold(store, keeper, 1), hold(store, keeper, 2, attempt=5)
        wait_renewals(store)
        assert store.values_of("lease_until")[-1]["ids"] == [1, 2]
        assert store.values_of("lease_until")[-1]["attempts"] == [1, 5]
        assert store.values_of("lease_until")[-1]["lease_s"] == 60.0
        assert store.values_of("prefix_hit_rate")[-1]["generated"] == 20
        # After its start, so that a new lock is shown with the next heartbeat and an entry that was removed is back.
        assert [values["lock_key"] for values in store.values_of("INSERT INTO workers")][:3] == [None, 77, 77]
        keeper.remove(first)
        wait_renewals(store)
        assert store.values_of("lease_until")[-1]["ids"] == [2]
        assert keeper.held() == [second.lease]
        assert not first.lost.is_set()
        assert not second.lost.is_set()


def test_a_lease_whose_end_is_written_is_not_lost_by_it(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    with keeping(store) as keeper:
        held = hold(store, keeper, 1)
        held.ending = True
        store.known.clear()
        wait_renewals(store)
        assert not held.lost.is_set()
        assert caplog.records == []
        # What was said too soon is said when the attempt goes on.
        held.ending = False
        wait_for(held.lost.is_set, what="the lease is lost", every=0.005)


def test_a_lease_that_postgres_no_longer_knows_is_lost_and_the_others_are_not(store: Store) -> None:
    with keeping(store) as keeper:
        gone, kept = hold(store, keeper, 1), hold(store, keeper, 2)
        stopped = threading.Event()
        gone.on_lost = stopped.set
        wait_renewals(store)
        store.known.remove((1, 1))
        # Another attempt's lease of the same shard is not this one.
        store.known.add((1, 2))
        wait_for(gone.lost.is_set, what="the lease is lost")
        assert stopped.is_set()
        assert gone.refusal is None
        assert not kept.lost.is_set()


def test_a_lease_that_is_finished_during_a_renewal_is_not_lost(store: Store) -> None:
    with keeping(store) as keeper:
        held = hold(store, keeper, 1)
        store.known.clear()
        store.during_renewal = lambda: keeper.remove(held)
        wait_renewals(store)
        assert not held.lost.is_set()


def test_a_lease_of_a_later_attempt_is_not_removed_by_the_earlier_one(store: Store) -> None:
    with keeping(store) as keeper:
        earlier, later = hold(store, keeper, 1), hold(store, keeper, 1, attempt=2)
        keeper.remove(earlier)
        assert keeper.held() == [later.lease]


def test_when_postgres_is_silent_past_a_lease_all_leases_are_given_up(store: Store) -> None:
    with keeping(store, lease_s=0.4) as keeper:
        held = [hold(store, keeper, number) for number in (1, 2, 3)]
        wait_renewals(store)
        store.error = lambda: AWAY
        silent = time.monotonic()
        for one in held:
            wait_for(one.lost.is_set, what="the lease is given up", every=0.005)
        # The renewal before the silence may be a moment older than what this thread saw.
        assert time.monotonic() - silent > 0.3
        assert all(one.refusal is None for one in held)


def test_within_a_lease_silence_costs_nothing(store: Store) -> None:
    with keeping(store, lease_s=60.0) as keeper:
        held = hold(store, keeper, 1)
        store.error = lambda: AWAY
        goal = store.tries + 5
        wait_for(lambda: store.tries >= goal, what="it is tried again", every=0.005)
        assert not held.lost.is_set()
        store.error = lambda: None
        wait_renewals(store)
        assert not held.lost.is_set()


def test_only_silence_since_the_last_contact_counts(store: Store) -> None:
    with keeping(store, lease_s=0.5) as keeper:
        held = hold(store, keeper, 1)
        # Two of three tries fail, for several leases together.
        store.error = lambda: AWAY if store.tries % 3 else None
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline:
            wait_renewals(store, 1)
        assert not held.lost.is_set()


def test_a_refusal_past_a_lease_is_told_to_whoever_holds_one(store: Store) -> None:
    refusal = StoreError("the database has no space left")
    with keeping(store, lease_s=0.2) as keeper:
        held = hold(store, keeper, 1)
        store.error = lambda: refusal
        wait_for(held.lost.is_set, what="the lease is given up")
        assert held.refusal is refusal


@pytest.mark.parametrize("error", [AWAY, ValueError("rubbish"), MemoryError()])
def test_no_error_ends_the_renewals(store: Store, error: Exception) -> None:
    troubles = Troubles()
    with keeping(store, troubles=troubles) as keeper:
        store.error = lambda: error
        wait_for(lambda: troubles.current() is not None, what="the trouble is reported")
        assert keeper.alive()
        store.error = lambda: None
        wait_renewals(store)
        assert troubles.current() is None


def test_a_worker_that_stops_leaves_the_table_if_it_can(store: Store) -> None:
    with keeping(store) as keeper:
        wait_renewals(store, 1)
    assert not keeper.alive()
    assert store.statements[-1][0].startswith("DELETE FROM workers")
    with keeping(store) as keeper:
        store.error = lambda: AWAY
    assert not keeper.alive()


def test_a_worker_that_cannot_enter_itself_does_not_begin(store: Store) -> None:
    store.error = lambda: AWAY
    with pytest.raises(StoreUnavailable), keeping(store):
        pass
