"""Loops that no error ends, and the requests to stop that a process counts."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from tests.support.jobs import wait_for
from workers.periodic import Periodic
from workers.signals import Signals
from workers.troubles import Troubles


@pytest.mark.parametrize("error", [ValueError("rubbish"), MemoryError(), KeyError("recipe")])
def test_a_loop_goes_on_after_any_error_and_reports_it(error: Exception) -> None:
    troubles, calls, may_end = Troubles(), [], threading.Event()

    def action() -> None:
        calls.append(1)
        if not may_end.is_set():
            raise error

    loop = Periodic("the sweep fails", 0.01, action, troubles)
    loop.start()
    wait_for(lambda: len(calls) > 3, what="it is called again and again")
    assert troubles.has("the sweep fails")
    assert loop.alive()
    may_end.set()
    wait_for(lambda: not troubles.has("the sweep fails"), what="the trouble is over")
    loop.stop()
    assert not loop.alive()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_loop_that_a_system_exit_ends_is_seen_to_be_dead() -> None:
    def action() -> None:
        raise SystemExit(3)

    loop = Periodic("the sweep fails", 0.01, action, Troubles())
    loop.start()
    wait_for(lambda: not loop.alive(), what="the loop ends")


@pytest.fixture
def signals() -> Iterator[Signals]:
    old = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield Signals()
    for number, handler in old.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_while_loading_the_first_signal_ends_the_process_and_a_second_interrupts_no_cleaning_up(
    signals: Signals, number: signal.Signals
) -> None:
    with pytest.raises(SystemExit) as ended:
        signal.raise_signal(number)
    assert ended.value.code == 0
    signal.raise_signal(number)
    assert signals.asked()
    assert signals.asked_twice()


def test_once_loaded_signals_are_counted(signals: Signals) -> None:
    signals.loading = False
    signal.raise_signal(signal.SIGTERM)
    assert (signals.asked(), signals.asked_twice()) == (True, False)
    signal.raise_signal(signal.SIGINT)
    assert signals.asked_twice()


def test_signals_that_interrupt_their_own_handler_lock_nothing_up() -> None:
    code = (
        "import sys, time; from workers.signals import Signals\n"
        "signals = Signals(); signals.loading = False; print('ready', flush=True)\n"
        "sys.stdin.read(); print(signals.asked_twice(), flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        for _ in range(500):
            child.send_signal(signal.SIGINT)
            child.send_signal(signal.SIGTERM)
        out, _ = child.communicate(timeout=60)
    assert (out, child.returncode) == ("True\n", 0)
