"""Stops claiming while the store refuses writes, and starts again by itself.

After a refusal nothing is claimed for a while. Then one slot works on one shard: if its results are accepted all slots
go on, if not the wait doubles. So a full disk costs one shard's work every half minute and fails no rollout.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rprm_jobs.errors import StoreError
from workers.troubles import Troubles

# What may be refused, as `status` says it.
RESULTS = "the store refuses results"
LEASES = "the store refuses to renew leases"
CLAIMS = "the store refuses claims"
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 30.0


class StoreGate:
    """Lets slots in to claim: all of them, or while the store refuses something one at a time."""

    def __init__(self, troubles: Troubles, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._troubles, self._clock = troubles, clock
        self._lock = threading.Lock()
        self._refused: set[str] = set()
        self._inside = 0
        self._wait_s = _FIRST_WAIT_S
        self._closed_until = 0.0
        self._refused_at = float("-inf")

    def enter(self) -> bool:
        """Whether a slot may claim and work on a shard now; if so it calls `leave` afterwards."""
        with self._lock:
            if self._refused and (self._inside or self._clock() < self._closed_until):
                return False
            self._inside += 1
            return True

    def leave(self) -> None:
        """The slot that entered is done with its shard, or found none."""
        with self._lock:
            self._inside -= 1

    def refused(self, what: str, error: StoreError) -> None:
        """The store refused one of the things above."""
        with self._lock:
            now = self._clock()
            if now >= self._closed_until:
                self._wait_s = min(2 * self._wait_s, _LONGEST_WAIT_S) if self._refused else _FIRST_WAIT_S
                self._closed_until = now + self._wait_s
            self._refused.add(what)
            self._refused_at = now
        self._troubles.report(what, error)

    def accepted(self, what: str) -> None:
        """The store took one of the things above."""
        with self._lock:
            if what not in self._refused:
                return
            self._refused.remove(what)
        self._troubles.clear(what)

    def steady_for(self, seconds: float) -> bool:
        """Whether the store has refused nothing for so long."""
        with self._lock:
            return not self._refused and self._clock() - self._refused_at >= seconds
