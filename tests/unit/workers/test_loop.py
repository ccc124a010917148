"""The engine's loop: what waits for it still hears signals."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from workers.loop import EngineLoop


class Heard(Exception):
    """Raised by the handler of the signal."""


@pytest.fixture
def loop() -> Iterator[EngineLoop]:
    loop = EngineLoop()
    yield loop
    loop.stop()


def test_a_signal_that_another_thread_gets_ends_the_wait(loop: EngineLoop) -> None:
    def hear(*_: object) -> None:
        raise Heard

    before = signal.signal(signal.SIGUSR1, hear)
    main = threading.main_thread().ident
    other = next(thread for thread in threading.enumerate() if thread.name == "engine-loop" and thread.ident != main)
    assert other.ident is not None
    timer = threading.Timer(0.2, signal.pthread_kill, (other.ident, signal.SIGUSR1))
    timer.start()
    began = time.monotonic()
    try:
        with pytest.raises(Heard):
            loop.run(asyncio.sleep(20))
    finally:
        signal.signal(signal.SIGUSR1, before)
        timer.cancel()
    assert time.monotonic() - began < 10


def test_a_result_an_error_and_a_time_limit(loop: EngineLoop) -> None:
    assert loop.run(asyncio.sleep(0.01, "done"), timeout=5) == "done"
    with pytest.raises(ZeroDivisionError):
        loop.run(_divide())
    with pytest.raises(TimeoutError):
        loop.run(asyncio.sleep(5), timeout=0.1)


async def _divide() -> float:
    return 1 / 0
