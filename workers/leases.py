"""The leases that this process holds, and the thread that renews them on a connection of its own.

Renewal never waits for the engine's loop or for a record in progress. When Postgres no longer knows a lease, or has
not been reached for the length of one, its attempt is told to stop and to write nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rprm_jobs.engine import EngineStats
from rprm_jobs.errors import StoreError
from rprm_jobs.store.queue import leases, workers
from rprm_jobs.store.records import Lease, WorkerInfo
from rprm_jobs.store.session import Database
from workers.dispositions import is_refusal
from workers.store_gate import LEASES, StoreGate
from workers.troubles import Troubles

_log = logging.getLogger(__name__)
_RENEWALS = "leases are not renewed"


@dataclass(eq=False)
class HeldLease:
    """A lease in use. `lost` is set when no more results may be written for it; `on_lost` stops its generation.

    `refusal` is why, when the store refused to renew it: then nobody else need have it, and it can be handed back.
    `ending`: its end is being written, or was; where Postgres no longer knows it, that is our own doing.
    """

    lease: Lease
    refusal: StoreError | None = None
    ending: bool = False
    on_lost: Callable[[], object] = lambda: None
    lost: threading.Event = field(default_factory=threading.Event)

    def lose(self) -> None:
        """Mark the lease as lost and stop its work."""
        self.lost.set()
        self.on_lost()


class LeaseKeeper:
    """Renews all held leases every `renew_s` seconds, and with them the worker's heartbeat."""

    def __init__(
        self,
        database: Database,
        worker: WorkerInfo,
        stats: Callable[[], EngineStats],
        troubles: Troubles,
        gate: StoreGate,
        *,
        lease_s: float,
        renew_s: float,
        lock_key: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._database, self._worker, self._stats = database, worker, stats
        self._troubles, self._gate = troubles, gate
        self._lease_s, self._renew_s, self._lock_key = lease_s, renew_s, lock_key
        self._held: dict[int, HeldLease] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._last_contact = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="lease-keeper", daemon=True)

    def start(self) -> None:
        """Enter the worker in the table of workers, and begin to renew. Raises StoreError."""
        with self._database.transaction() as connection:
            workers.announce(connection, self._worker)
        self._thread.start()

    def alive(self) -> bool:
        """Whether leases are being renewed."""
        return self._thread.is_alive()

    def add(self, held: HeldLease) -> None:
        """Renew this lease from now on."""
        with self._lock:
            self._held[held.lease.shard_id] = held

    def remove(self, held: HeldLease) -> None:
        """The lease was given up or lost."""
        with self._lock:
            if self._held.get(held.lease.shard_id) is held:
                del self._held[held.lease.shard_id]

    def held(self) -> list[Lease]:
        """The leases that this process knows it holds."""
        with self._lock:
            return [held_lease.lease for held_lease in self._held.values()]

    def stop(self) -> None:
        """Stop renewing and take the worker off the table."""
        self._stop.set()
        self._thread.join(5)
        try:
            with self._database.transaction() as connection:
                workers.leave(connection, self._worker.id)
        except StoreError as error:
            _log.warning("the worker could not sign off, its entry will lapse: %s", error.what)

    def _run(self) -> None:
        while not self._stop.wait(self._renew_s):
            try:
                self._renew()
            except Exception as error:  # noqa: BLE001 - a worker that stops renewing loses all it holds
                self._not_renewed(error)
            else:
                self._last_contact = time.monotonic()
                self._troubles.clear(_RENEWALS)
                self._gate.accepted(LEASES)

    def _not_renewed(self, error: Exception) -> None:
        refusal = error if isinstance(error, StoreError) and is_refusal(error) else None
        if refusal is None:
            self._troubles.report(_RENEWALS, error)
        else:
            self._gate.refused(LEASES, refusal)
        if time.monotonic() - self._last_contact > self._lease_s:
            self._lose_all(refusal)

    def _renew(self) -> None:
        with self._lock:
            held = list(self._held.values())
        with self._database.transaction() as connection:
            # The entry may have been swept away while this process was stopped.
            workers.announce(connection, self._worker, lock_key=self._lock_key())
            workers.heartbeat(connection, self._worker.id, self._stats(), self._troubles.current())
            kept = leases.renew(connection, [h.lease for h in held], owner=self._worker.id, lease_s=self._lease_s)
        for held_lease in held:
            known = (held_lease.lease.shard_id, held_lease.lease.attempt) in kept
            if not known and not held_lease.ending and self._is_held(held_lease):
                _log.warning("the lease is lost", extra=held_lease.lease.log_context())
                held_lease.lose()

    def _is_held(self, held_lease: HeldLease) -> bool:
        # A lease that was finished between the two looks is not lost.
        with self._lock:
            return self._held.get(held_lease.lease.shard_id) is held_lease

    def _lose_all(self, refusal: StoreError | None) -> None:
        with self._lock:
            held = list(self._held.values())
        for held_lease in held:
            held_lease.refusal = refusal
            held_lease.lose()
