"""How many critiques one engine works on at a time, and which come next: older solutions first, guesses last.

Without a bound an engine that has ten thousand requests works on all of them and finishes none. A step is a guess while
an earlier step of its solution may still be called wrong, which would make it needless. Guesses start only when no
needed step waits, so they fill an engine that would idle and delay nothing.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from dataclasses import dataclass, field


@dataclass(order=True, slots=True)
class _Waiter:
    rank: int
    ahead: int
    solution: int
    number: int
    wanted: int = field(compare=False)
    granted: asyncio.Future[int] = field(compare=False)
    moved: bool = field(compare=False, default=False)


@dataclass(eq=False, slots=True)
class Turn:
    """One step's place in the queue: `solution` counts solutions as they began, `ahead` undecided steps before it.

    An `urgent` one comes before all others. `waiter` is its entry while it waits.
    """

    solution: int
    ahead: int = 0
    urgent: bool = False
    waiter: _Waiter | None = None


class Budget:
    """Bounds the critiques in flight across all shards of a process. Used from one event loop."""

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._waiting: list[_Waiter] = []
        self._entered, self._started = itertools.count(), itertools.count()

    def begin_solution(self) -> int:
        """Its number, for the turns of its steps."""
        return next(self._started)

    async def take(self, wanted: int, turn: Turn) -> int:
        """Wait for room; returns how many of the `wanted` critiques may start (at least 1)."""
        granted: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._enter(turn, wanted, granted)
        self._grant()
        try:
            return await granted
        except asyncio.CancelledError:
            # Granted and cancelled in the same turn of the loop: nobody uses the room, so it is given back.
            if granted.done() and not granted.cancelled():
                self.give(granted.result())
            raise
        finally:
            turn.waiter = None

    def give(self, count: int) -> None:
        """Those critiques are finished."""
        self._free += count
        self._grant()

    def advance(self, turn: Turn) -> None:
        """An earlier step was decided, so this one is less of a guess."""
        turn.ahead -= 1
        if (waiter := turn.waiter) is not None:
            waiter.moved = True
            self._enter(turn, waiter.wanted, waiter.granted)

    def _enter(self, turn: Turn, wanted: int, granted: asyncio.Future[int]) -> None:
        turn.waiter = _Waiter(0 if turn.urgent else 1, turn.ahead, turn.solution, next(self._entered), wanted, granted)
        heapq.heappush(self._waiting, turn.waiter)

    def _grant(self) -> None:
        while self._free and self._waiting:
            waiter = heapq.heappop(self._waiting)
            if waiter.moved or waiter.granted.done():
                continue
            count = min(waiter.wanted, self._free)
            self._free -= count
            waiter.granted.set_result(count)
