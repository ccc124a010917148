"""The engine's event loop, in a thread of its own. Everything that touches the engine runs there and nowhere else."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future, wait
from typing import Any, TypeVar

T = TypeVar("T")
# The system may hand a signal to any thread, and Python's handler runs when the main thread wakes.
_WAKE_S = 0.5


class EngineLoop:
    """Runs coroutines for the shard threads. `stop` cancels what is left and ends the thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="engine-loop", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def alive(self) -> bool:
        """Whether the loop runs."""
        return self._thread.is_alive()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Start `coroutine` on the loop; cancelling the future cancels it there."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run `coroutine` on the loop and wait for its result, awake for signals. Raises TimeoutError."""
        future = self.submit(coroutine)
        deadline = time.monotonic() + (math.inf if timeout is None else timeout)
        while not future.done() and (left := deadline - time.monotonic()) > 0:
            wait([future], min(left, _WAKE_S))
        return future.result(0)

    def stop(self, timeout: float = 10.0) -> None:
        """End the loop; safe to call twice."""
        if not self._thread.is_alive():
            return
        asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop)
        self._thread.join(timeout)


async def _cancel_all() -> None:
    loop = asyncio.get_running_loop()
    others = [task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    loop.stop()
