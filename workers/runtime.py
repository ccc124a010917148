"""The slots of a worker: each works on one shard at a time, all on the same engine, until the worker stops.

A notification (a Celery message) or the idle look into Postgres wakes a slot, which then claims until no shard is
ready. Throughput therefore depends on Redis for the first shard only.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass

from rprm_jobs.errors import CommitUnknown, EngineError, StoreError
from rprm_jobs.services.retry import retry_transaction
from rprm_jobs.store.queue import leases
from rprm_jobs.store.records import Lease, WorkerInfo
from rprm_jobs.types import URGENT_PRIORITY
from workers.attempt import Attempt, WorkerDependencies
from workers.dispositions import is_refusal
from workers.leases import HeldLease, LeaseKeeper
from workers.store_gate import CLAIMS

_log = logging.getLogger(__name__)
_IDLE_LOOK_S = 1.0
_CLAIMS = "nothing can be claimed"
# One claim in so many goes to the next of the waiting jobs in turn, so that a stream of urgent ones starves nobody.
_TURNS = 16


class Stop:
    """How far the worker is on its way out: not at all, draining (begin nothing new), or stopping (give up now)."""

    def __init__(self) -> None:
        self._draining = threading.Event()
        self._stopping = threading.Event()
        self.engine_died: EngineError | None = None

    def drain(self) -> None:
        """Begin no further solution; those begun may finish."""
        self._draining.set()

    def now(self) -> None:
        """Give up what runs: record what is complete and hand the rest back."""
        self._draining.set()
        self._stopping.set()

    def draining(self) -> bool:
        """Whether nothing new may begin."""
        return self._draining.is_set()

    def stopping(self) -> bool:
        """Whether running solutions are to be given up."""
        return self._stopping.is_set()

    def wait(self, timeout: float) -> bool:
        """Wait until draining begins."""
        return self._draining.wait(timeout)


@dataclass(frozen=True)
class RuntimeOptions:
    """Lease length in seconds and number of shards judged at the same time.

    As many slots again are kept for urgent shards, so that nobody waits for a slot behind bulk work.
    """

    lease_s: float
    slots: int


class Runtime:
    """Owns the slots. `notify` may be called from any thread, any number of times."""

    def __init__(
        self, shared: WorkerDependencies, keeper: LeaseKeeper, worker: WorkerInfo, stop: Stop, options: RuntimeOptions
    ) -> None:
        self._shared, self._keeper, self._worker = shared, keeper, worker
        self._stop, self._options = stop, options
        self._slots = threading.BoundedSemaphore(options.slots)
        self._urgent_slots = threading.BoundedSemaphore(options.slots)
        self._claiming = threading.Lock()
        self._claims = 0
        self._last_in_turn = 0
        self._looker = threading.Thread(target=self._look_when_idle, name="idle-look", daemon=True)

    def start(self) -> None:
        """Begin to look for work by itself."""
        self._looker.start()

    def alive(self) -> bool:
        """Whether it still looks for work by itself."""
        return self._looker.is_alive()

    def notify(self) -> None:
        """Use a slot, when one is free, until nothing is ready for it. Returns at once when all are busy."""
        for slots, at_least in ((self._slots, leases.LOWEST_PRIORITY), (self._urgent_slots, URGENT_PRIORITY)):
            if not self._stop.draining() and slots.acquire(blocking=False):
                try:
                    self._work_on(at_least)
                finally:
                    slots.release()
                return

    def wait_until_drained(self, timeout: float) -> bool:
        """Wait until no slot works; False when some still do after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with ExitStack() as taken:
            for slots in (self._slots, self._urgent_slots):
                for _ in range(self._options.slots):
                    if not slots.acquire(timeout=max(0.0, deadline - time.monotonic())):
                        return False
                    taken.callback(slots.release)
            return True

    def _look_when_idle(self) -> None:
        while not self._stop.draining():
            # One thread a look is enough: while work is left, every look wakes another slot.
            threading.Thread(target=self.notify, name="slot", daemon=True).start()
            self._stop.wait(_IDLE_LOOK_S)

    def _work_on(self, at_least: int) -> None:
        while not self._stop.draining() and self._shared.gate.enter():
            try:
                held = self._claim(at_least)
                if held is None:
                    if at_least == leases.LOWEST_PRIORITY:
                        self._shared.progress.idle()
                    return
                self._work_off(held)
            finally:
                self._shared.gate.leave()

    def _work_off(self, held: HeldLease) -> None:
        try:
            Attempt(self._shared, held).run()
        except EngineError as error:
            _log.critical("the engine died: %s", error, extra=held.lease.log_context())
            self._stop.engine_died = error
            self._stop.now()
        finally:
            self._keeper.remove(held)

    def _claim(self, at_least: int) -> HeldLease | None:
        # One claim at a time: what Postgres has under our name and the keeper does not know must be a stray.
        with self._claiming:
            if any(lease.previously_failed for lease in self._keeper.held()):
                return None
            try:
                lease = retry_transaction(
                    lambda: self._claim_once(at_least),
                    for_s=self._shared.retry_for_s,
                    give_up=self._stop.draining,
                )
            except Exception as error:  # noqa: BLE001 - a slot that an error ended would be missing from now on
                self._not_claimed(error)
                return None
            self._shared.gate.accepted(CLAIMS)
            self._shared.troubles.clear(_CLAIMS)
            if lease is None:
                return None
            if self._is_turn():
                self._last_in_turn = lease.job_id
            self._claims += 1
            held = HeldLease(lease)
            self._keeper.add(held)
            return held

    def _not_claimed(self, error: Exception) -> None:
        if isinstance(error, StoreError) and is_refusal(error):
            self._shared.gate.refused(CLAIMS, error)
        else:
            self._shared.troubles.report(_CLAIMS, error)

    def _is_turn(self) -> bool:
        return self._claims % _TURNS == _TURNS - 1

    def _claim_once(self, at_least: int) -> Lease | None:
        try:
            with self._shared.database.transaction() as connection:
                return leases.claim(
                    connection,
                    queue=self._worker.queue,
                    owner=self._worker.id,
                    engine=self._worker.engine,
                    lease_s=self._options.lease_s,
                    exclusive=not self._keeper.held(),
                    after=self._last_in_turn if self._is_turn() else None,
                    without=self._shared.left_jobs.current(),
                    at_least=at_least,
                )
        except CommitUnknown:
            self._return_strays()
            raise

    def _return_strays(self) -> None:
        def give_back() -> int:
            with self._shared.database.transaction() as connection:
                known = [lease.shard_id for lease in self._keeper.held()]
                return leases.hand_back_strays(connection, self._worker.id, known)

        retry_transaction(give_back, for_s=self._shared.retry_for_s, give_up=self._stop.draining)
