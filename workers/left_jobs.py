"""Jobs that this worker cannot work on and leaves to others, such as those of a newer version; tried again later."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rprm_jobs.errors import UnsupportedJob
from workers.troubles import Troubles

_TRY_AGAIN_S = 600.0


class LeftJobs:
    """Used from any slot. After ten minutes a job is tried again: it may have been deleted, or written anew."""

    def __init__(self, troubles: Troubles, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._troubles, self._clock = troubles, clock
        self._lock = threading.Lock()
        self._left_at: dict[int, float] = {}

    def add(self, job_id: int, error: UnsupportedJob) -> None:
        """Claim nothing of this job for a while."""
        with self._lock:
            self._left_at[job_id] = self._clock()
        self._troubles.report(_what(job_id), error)

    def current(self) -> list[int]:
        """The jobs of which nothing is to be claimed now."""
        with self._lock:
            over = [job_id for job_id, at in self._left_at.items() if self._clock() - at >= _TRY_AGAIN_S]
            for job_id in over:
                del self._left_at[job_id]
            left = list(self._left_at)
        for job_id in over:
            self._troubles.forget(_what(job_id))
        return left


def _what(job_id: int) -> str:
    return f"job {job_id} is left to other workers"
