"""Says in the log how far the jobs are that this worker works on: each at most every ten seconds, and at its end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from rprm_jobs.errors import RprmError
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.session import Database

_log = logging.getLogger(__name__)
_EVERY_S = 10.0


class ProgressLog:
    """Used from any slot. A store that does not answer is no reason to fail: the next line says more."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database, self._clock = database, clock
        self._lock = threading.Lock()
        self._said_at: dict[int, float] = {}
        self._unsaid: set[int] = set()

    def finished(self, job_id: int) -> None:
        """A shard of the job is finished."""
        with self._lock:
            now = self._clock()
            due = now - self._said_at.get(job_id, float("-inf")) >= _EVERY_S
            if due:
                self._said_at[job_id] = now
                self._unsaid.discard(job_id)
            else:
                self._unsaid.add(job_id)
        if due:
            self._say(job_id)

    def idle(self) -> None:
        """Nothing is ready: say what has not been said."""
        with self._lock:
            unsaid, self._unsaid = self._unsaid, set()
            self._said_at.clear()
        for job_id in sorted(unsaid):
            self._say(job_id)

    def _say(self, job_id: int) -> None:
        try:
            with self._database.transaction() as connection:
                progress, total = jobs.progress(connection, job_id), jobs.get(connection, job_id).n_solutions
        except RprmError:
            return
        bad = progress.failed + progress.quarantined
        without = f", {bad:,} without a reward" if bad else ""
        _log.info("job %d: %d of %d done%s", job_id, progress.solutions, total, without, extra={"job": job_id})
