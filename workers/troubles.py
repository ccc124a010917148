"""What this worker cannot do at the moment, and since when; kept for the log and for the worker's heartbeat.

A series of failures is two lines in the log: the first failure, and the success that ends it with a count.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from rprm_jobs.errors import RprmError
from rprm_jobs.store.records import Trouble

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Series:
    trouble: Trouble
    started: float
    failures: int = 1


class Troubles:
    """Series of failures by what fails, such as "the sweep". Used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._series: dict[str, _Series] = {}

    def report(self, what: str, error: BaseException) -> None:
        """`what` failed. The first failure of a series is logged, with a traceback when nobody foresaw the error."""
        foreseen = isinstance(error, RprmError)
        reason = error.what if isinstance(error, RprmError) else f"{type(error).__name__}: {error}"
        with self._lock:
            series = self._series.get(what)
            if series is None:
                self._series[what] = _Series(Trouble(f"{what}: {reason}", datetime.now(UTC)), time.monotonic())
            else:
                series.failures += 1
                series.trouble = Trouble(f"{what}: {reason}", series.trouble.since)
        if series is None:
            _log.error("%s: %s", what, reason, exc_info=None if foreseen else error)

    def clear(self, what: str) -> None:
        """`what` works; logs the end of its series if there was one."""
        with self._lock:
            series = self._series.pop(what, None)
        if series is not None:
            seconds = time.monotonic() - series.started
            _log.warning("%s: works again after %d failures in %.0f s", what, series.failures, seconds)

    def forget(self, what: str) -> None:
        """Whether `what` works is not known any more."""
        with self._lock:
            self._series.pop(what, None)

    def has(self, what: str) -> bool:
        """Whether `what` fails at the moment."""
        with self._lock:
            return what in self._series

    def current(self) -> Trouble | None:
        """The oldest of what fails now, None when all works."""
        with self._lock:
            return min((series.trouble for series in self._series.values()), key=lambda t: t.since, default=None)
