"""One attempt at one shard, in a thread of its own: judge, record as results come, and end the lease in good order.

Every way out leaves the shard in exactly one state: finished, handed back, failed (counted), or lost to another.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import TypeVar

from rprm_jobs.errors import EngineDied, LeaseLost, NotFound, StoreError, StoreUnavailable
from rprm_jobs.services.retry import retry_transaction
from rprm_jobs.services.upkeep.plans import refit
from rprm_jobs.store.queue import failures, leases
from rprm_jobs.store.results import recording
from rprm_jobs.store.session import Database
from rprm_jobs.types import KeepCritiques, Response, SolutionScore
from workers.leases import HeldLease
from workers.loop import EngineLoop
from workers.tasks.dispatch import Engines, Task, load_task

T = TypeVar("T")
_log = logging.getLogger(__name__)
# Enough to make transactions large, little enough that a lost record is seconds of judging.
_MAX_PENDING_CRITIQUES = 4000


@dataclass(frozen=True)
class WorkerDependencies:
    """What every attempt of this process shares. `draining`: begin nothing new; `stopping`: give up what runs."""

    database: Database
    engines: Engines
    loop: EngineLoop
    draining: Callable[[], bool]
    stopping: Callable[[], bool]
    record_s: float
    retry_for_s: float


class Attempt:
    """Use once: `run` returns when the lease has ended. Raises EngineDied after handing the shard back."""

    def __init__(self, shared: WorkerDependencies, held: HeldLease) -> None:
        self._shared, self._held, self._lease = shared, held, held.lease
        self._outcomes: queue.SimpleQueue[SolutionScore | Response | None] = queue.SimpleQueue()
        self._pending: list[SolutionScore] = []
        self._partial: list[Response] = []
        self._task: Task | None = None

    def run(self) -> None:
        """Judge the shard to its end, whatever that is."""
        try:
            complete = self._judge_and_record()
            self._write(self._finish if complete else self._hand_back)
            self._refit()
        except LeaseLost:
            _log.info("lease lost, nothing more is written: %s", self._lease.log_context())
        except StoreUnavailable as error:
            # Nothing can be written, not even that it failed: the lease will lapse, and the sweeper counts it.
            _log.error("gave up on Postgres: %s %s", error.what, self._lease.log_context())
        except EngineDied:
            self._write(self._hand_back)
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a judge raises is this attempt's failure, no more
            _log.exception("attempt failed: %s", self._lease.log_context())
            reason = f"{type(error).__name__}: {error}"
            self._write(lambda: self._fail(reason))

    def _judge_and_record(self) -> bool:
        task = self._task = self._retried(lambda: load_task(self._shared.database, self._lease))
        if not task.solutions:
            return True
        future = self._shared.loop.submit(task.start(self._shared.engines, self._outcomes.put, self._shared.draining))
        self._held.on_lost = future.cancel
        future.add_done_callback(lambda _: self._outcomes.put(None))
        try:
            self._record_until_end(future)
        finally:
            future.cancel()
        return self._result_of(future)

    def _record_until_end(self, future: Future[bool]) -> None:
        last_write = time.monotonic()
        critiques = 0
        ended = False
        while not ended:
            if self._held.lost.is_set():
                raise LeaseLost
            if self._shared.stopping():
                future.cancel()
            outcome = self._next_outcome()
            ended = outcome is None
            if isinstance(outcome, SolutionScore):
                self._pending.append(outcome)
                critiques += len(outcome.critiques)
            elif isinstance(outcome, Response):
                self._partial.append(outcome)
            due = time.monotonic() - last_write >= self._shared.record_s or critiques >= _MAX_PENDING_CRITIQUES
            if (self._pending or self._partial) and (ended or due):
                self._retried(self._record)
                last_write, critiques = time.monotonic(), 0

    def _next_outcome(self) -> SolutionScore | Response | str | None:
        try:
            return self._outcomes.get(timeout=0.25)
        except queue.Empty:
            return "nothing yet"

    def _result_of(self, future: Future[bool]) -> bool:
        try:
            return future.result()
        except CancelledError:
            if self._held.lost.is_set():
                raise LeaseLost from None
            return False

    def _record(self) -> None:
        keep, plan = (KeepCritiques.ALL, None) if self._task is None else (self._task.keep, self._task.plan)
        with self._shared.database.transaction() as connection:
            recording.record(connection, self._lease, self._pending, keep, plan=plan, partial=self._partial)
        self._pending, self._partial = [], []

    def _finish(self) -> None:
        with self._shared.database.transaction() as connection:
            leases.finish(connection, self._lease)

    def _refit(self) -> None:
        """Refit the job's plan if it is due; on failure the next shard tries again."""
        try:
            plan = refit(self._shared.database, self._lease.job_id)
        except (StoreError, NotFound) as error:
            # Or the job was deleted just now, and has no use for a plan.
            _log.warning("the plan was not fitted: %s %s", error.what, self._lease.log_context())
            return
        if plan is not None:
            _log.info("plan %d, fitted to %d steps: %s", plan.version, plan.steps, self._lease.log_context())

    def _hand_back(self) -> None:
        with self._shared.database.transaction() as connection:
            leases.hand_back(connection, self._lease)

    def _fail(self, error: str) -> None:
        with self._shared.database.transaction() as connection:
            verdict = failures.fail_held(connection, self._lease, error)
        if verdict is not None:
            _log.warning("shard %d: %s", verdict.shard_id, verdict.outcome)

    def _write(self, end: Callable[[], None]) -> None:
        """End the lease. A second try after a lost answer finds it ended, which is as it should be."""
        try:
            self._retried(end)
        except LeaseLost:
            _log.info("lease had ended: %s", self._lease.log_context())
        except StoreUnavailable as error:
            _log.error("the lease will lapse: %s %s", error.what, self._lease.log_context())

    def _retried(self, action: Callable[[], T]) -> T:
        return retry_transaction(action, for_s=self._shared.retry_for_s, give_up=self._held.lost.is_set)
