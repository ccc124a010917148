"""The gate: all slots while the store accepts, one at a time after a wait that doubles while it refuses."""

from __future__ import annotations

import logging

import pytest

from rprm_jobs.errors import StoreError
from tests.support.worker_parts import Clock
from workers.store_gate import CLAIMS, LEASES, RESULTS, StoreGate
from workers.troubles import Troubles


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate(clock: Clock) -> StoreGate:
    return StoreGate(Troubles(), clock=clock)


def test_all_slots_enter_while_nothing_is_refused(gate: StoreGate) -> None:
    assert [gate.enter() for _ in range(5)] == [True] * 5


def test_after_the_wait_one_enters_and_the_next_only_when_it_has_left(gate: StoreGate, clock: Clock) -> None:
    gate.refused(RESULTS, StoreError("full"))
    assert not gate.enter()
    clock.now += 1.0
    assert [gate.enter(), gate.enter()] == [True, False]
    gate.leave()
    assert gate.enter()


def test_who_is_inside_when_the_store_begins_to_refuse_keeps_the_others_out(gate: StoreGate, clock: Clock) -> None:
    assert gate.enter()
    gate.refused(RESULTS, StoreError("full"))
    clock.now += 100.0
    assert not gate.enter()
    gate.leave()
    assert gate.enter()


def test_slots_that_are_refused_at_the_same_time_double_no_wait(gate: StoreGate, clock: Clock) -> None:
    for _ in range(8):
        gate.refused(RESULTS, StoreError("full"))
    clock.now += 1.0
    assert gate.enter()


def test_it_opens_when_all_that_was_refused_is_accepted(gate: StoreGate) -> None:
    gate.refused(RESULTS, StoreError("full"))
    gate.refused(LEASES, StoreError("full"))
    gate.accepted(RESULTS)
    gate.accepted(CLAIMS)
    assert not gate.enter()
    gate.accepted(LEASES)
    assert [gate.enter(), gate.enter()] == [True, True]


def test_a_refusal_after_the_end_of_another_waits_as_short_as_the_first(gate: StoreGate, clock: Clock) -> None:
    for _ in range(5):
        gate.refused(RESULTS, StoreError("full"))
        clock.now += 40.0
    gate.accepted(RESULTS)
    gate.refused(RESULTS, StoreError("full"))
    clock.now += 1.0
    assert gate.enter()


def test_lapsed_leases_wait_until_the_store_was_steady_for_the_length_of_one(gate: StoreGate, clock: Clock) -> None:
    assert gate.steady_for(90.0)
    gate.refused(LEASES, StoreError("full"))
    clock.now += 1000.0
    assert not gate.steady_for(90.0)
    gate.refused(LEASES, StoreError("full"))
    gate.accepted(LEASES)
    assert not gate.steady_for(90.0)
    clock.now += 90.0
    assert gate.steady_for(90.0)


def test_a_series_of_failures_is_two_lines(caplog: pytest.LogCaptureFixture) -> None:
    troubles = Troubles()
    with caplog.at_level(logging.INFO):
        for number in range(50):
            troubles.report("the sweep fails", StoreError(f"refused {number}"))
        trouble = troubles.current()
        troubles.clear("the sweep fails")
        troubles.clear("the sweep fails")
    assert trouble is not None
    assert trouble.what == "the sweep fails: refused 49"
    assert troubles.current() is None
    assert [record.message.split(" in ")[0] for record in caplog.records] == [
        "the sweep fails: refused 0",
        "the sweep fails: works again after 50 failures",
    ]
    assert caplog.records[0].exc_info is None


def test_an_unforeseen_error_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    Troubles().report("the sweep fails", ZeroDivisionError("a bug"))
    assert caplog.records[0].exc_info


def test_the_oldest_trouble_is_told() -> None:
    troubles = Troubles()
    troubles.report("first", StoreError("a"))
    troubles.report("second", StoreError("b"))
    troubles.report("first", StoreError("c"))
    assert troubles.current() is not None
    assert troubles.current().what == "first: c"
    assert troubles.has("second")
    assert not troubles.has("third")
