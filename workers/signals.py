"""Requests to stop, counted from the first moment of the process: before the engine library is even imported.

The handler takes no lock: a second signal may arrive in the middle of it, and would wait for the first for ever.
"""

from __future__ import annotations

import signal
from types import FrameType


class Signals:
    """Counts SIGTERM and SIGINT. While `loading`, the first one ends the process with status 0."""

    def __init__(self) -> None:
        self.loading = True
        self._count = 0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def asked(self) -> bool:
        """Whether the process was asked to stop."""
        return self._count >= 1

    def asked_twice(self) -> bool:
        """Whether it was asked again, so that it is not to finish what it has begun."""
        return self._count >= 2

    def ask(self) -> None:
        """What a signal does once the engine is loaded."""
        self._count += 1

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._count += 1
        if self.loading:
            # No lease is held yet: leave through the finally blocks, so that no engine process stays behind. A second
            # signal must not interrupt those.
            self.loading = False
            raise SystemExit(0)
