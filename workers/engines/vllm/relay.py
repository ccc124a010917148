"""Passes on what an engine's processes write to standard error, and remembers the end of it.

vLLM's parent process learns only that a process failed. Why it failed stands in that process's own log, and a user
should not have to look for it there.
"""

from __future__ import annotations

import os
import re
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

_LINES = 400
_STDERR = 2
# The last line of a traceback, behind whatever prefix a log puts before it.
_RAISED = re.compile(r"(?:^|[\s)])(?:[A-Za-z_]\w*\.)*[A-Za-z_]*(?:Error|Exception|Interrupt): (?P<why>.+)$")


class Relay:
    """Takes the place of standard error while processes start; they keep it for their lives."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._complete = threading.Event()

    @contextmanager
    def inherited(self) -> Iterator[None]:
        """Within it, a process that starts writes to this relay; what this process writes takes the same way."""
        reading, writing = os.pipe()
        before = os.dup(_STDERR)
        onward = os.dup(_STDERR)
        threading.Thread(target=self._pump, args=(reading, onward), name="engine-stderr", daemon=True).start()
        os.dup2(writing, _STDERR)
        os.close(writing)
        try:
            yield
        finally:
            os.dup2(before, _STDERR)
            os.close(before)

    def cause(self) -> str | None:
        """What the last exception in the log said, if there was one; waits a moment for the log to be complete."""
        self._complete.wait(2.0)
        reasons = [match["why"] for line in list(self._lines) if (match := _RAISED.search(line))]
        return reasons[-1].strip() if reasons else None

    def _pump(self, reading: int, onward: int) -> None:
        """Unbuffered: a thread that is killed with its interpreter must not hold a buffer's lock."""
        rest = b""
        try:
            while data := os.read(reading, 65536):
                _write(onward, data)
                *lines, rest = (rest + data).split(b"\n")
                self._lines.extend(line.decode(errors="replace") for line in lines)
        finally:
            self._complete.set()
            os.close(reading)
            os.close(onward)


def _write(onward: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(onward, view) :]
