"""The lock by which others see at once that this worker died: see `rprm_jobs.services.upkeep.deaths`.

Its connection can break while the worker is healthy. Then the worker says that it has no lock, and takes a new one.
"""

from __future__ import annotations

import logging

from rprm_jobs.errors import ConfigError
from rprm_jobs.store.pooler import DIRECT_HINT, Pooling, find_pooling
from rprm_jobs.store.queue import workers
from rprm_jobs.store.session import Database
from rprm_jobs.store.session_lock import SessionLock
from workers.periodic import Periodic
from workers.troubles import Troubles

_log = logging.getLogger(__name__)
_LOOK_S = 0.5


class WorkerLock:
    """Keeps the lock held. Work goes to `database`; `direct` leads to the same one past any transaction pooler."""

    def __init__(self, database: Database, direct: Database, worker_id: str, troubles: Troubles) -> None:
        self._database, self._direct, self._worker_id = database, direct, worker_id
        self._lock = SessionLock(direct)
        self._possible: bool | None = None
        self.key: int | None = None
        self.loop = Periodic("the worker's lock is not held", _LOOK_S, self.look, troubles)

    def start(self) -> None:
        """Take the lock, and look from now on whether it is held."""
        self.loop.start()

    def stop(self) -> None:
        """Give the lock back."""
        self.loop.stop()
        self._lock.release()

    def look(self) -> None:
        """Take a lock where none is held. Raises StoreError, or ConfigError for a direct URL to another database."""
        if self._possible is None:
            self._possible = find_pooling(self._direct) is not Pooling.TRANSACTION
            if not self._possible:
                _log.warning("a transaction pooler hides whether this worker's connection lives; %s", DIRECT_HINT)
        if not self._possible or (self.key is not None and not self._lock.broken()):
            return
        self.key = None
        self._show(None)
        key = self._lock.acquire()
        if not self._show(key):
            self._lock.release()
            raise ConfigError(
                "the worker's lock cannot be seen in the database of RPRM_DATABASE_URL",
                hint="RPRM_DATABASE_DIRECT_URL must lead to the same database",
            )
        self.key = key

    def _show(self, key: int | None) -> bool:
        with self._database.transaction() as connection:
            return workers.show_lock(connection, self._worker_id, key)
