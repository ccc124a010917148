"""Requests to stop, counted from the first moment of the process: before the engine library is even imported."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Signals:
    """Counts SIGTERM and SIGINT. While `loading`, the first one ends the process with status 0."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.asked_twice = threading.Event()
        self.loading = True
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        (self.asked_twice if self.asked.is_set() else self.asked).set()
        if self.loading:
            # No lease is held yet: leave through the finally blocks, so that no engine process stays behind. A second
            # signal must not interrupt those.
            self.loading = False
            raise SystemExit(0)
