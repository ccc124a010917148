"""One attempt at one shard, in a thread of its own: judge, record as results come, and end the lease in good order.

Every way out leaves the shard in exactly one state: finished, handed back, failed (counted), or lost to another.
`workers.dispositions` says which error leads to which.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import TypeVar

from rprm_jobs.errors import ConfigError, LeaseLost, NotFound, RprmError, StoreError, UnsupportedJob
from rprm_jobs.services.retry import retry_transaction
from rprm_jobs.services.upkeep.plans import newer_plan
from rprm_jobs.store.queue import failures, leases
from rprm_jobs.store.results import recording
from rprm_jobs.store.session import Database
from rprm_jobs.types import KeepCritiques, Response, SolutionScore
from workers.dispositions import Disposition, LeaseEnd, WorkerNext, disposition_of
from workers.leases import HeldLease
from workers.left_jobs import LeftJobs
from workers.loop import EngineLoop
from workers.meter import Meter, NoMeter
from workers.progress import ProgressLog
from workers.store_gate import RESULTS, StoreGate
from workers.tasks.dispatch import Engines, Task, load_task
from workers.troubles import Troubles

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
    troubles: Troubles
    gate: StoreGate
    progress: ProgressLog
    left_jobs: LeftJobs
    draining: Callable[[], bool]
    stopping: Callable[[], bool]
    record_s: float
    retry_for_s: float
    meter: Meter = field(default_factory=NoMeter)


class Attempt:
    """Use once: `run` returns when the lease has ended. Raises EngineError after handing the shard back."""

    def __init__(self, shared: WorkerDependencies, held: HeldLease) -> None:
        self._shared, self._held, self._lease = shared, held, held.lease
        self._outcomes: queue.SimpleQueue[SolutionScore | Response | None] = queue.SimpleQueue()
        self._pending: list[SolutionScore] = []
        self._partial: list[Response] = []
        self._recorded = False
        self._task: Task | None = None

    def run(self) -> None:
        """Judge the shard to its end, whatever that is."""
        began = time.monotonic()
        outcome = "failed"
        try:
            complete = self._judge_and_record()
            self._held.ending = True
            self._retried(self._finish if complete else self._hand_back)
            outcome = "finished" if complete else "handed back"
            self._shared.progress.finished(self._lease.job_id)
            self._renew_plan()
        except BaseException as error:  # noqa: BLE001 - the table of dispositions knows them all
            outcome = _outcome(disposition_of(error))
            self._settle(error)
        finally:
            self._shared.meter.ended(outcome, time.monotonic() - began)

    def _settle(self, error: BaseException) -> None:
        """End the lease as the table says. Raises what must stop the worker."""
        self._held.ending = True
        disposition = disposition_of(error)
        if disposition.worker is WorkerNext.PAUSES and isinstance(error, StoreError):
            self._shared.gate.refused(RESULTS, error)
        if isinstance(error, UnsupportedJob):
            self._shared.left_jobs.add(self._lease.job_id, error)
        if disposition.lease is LeaseEnd.LOST:
            _log.info("the lease is lost, nothing more is written: %s", error, extra=self._lease.log_context())
        elif disposition.lease is LeaseEnd.LAPSES:
            # Nothing can be written, not even that it failed.
            _log.error("gave up on Postgres, the lease will lapse: %s", error, extra=self._lease.log_context())
        elif disposition.counted:
            _log.error("the attempt failed", exc_info=error, extra=self._lease.log_context())
            reason = f"{type(error).__name__}: {error}"
            self._end(lambda: self._fail(reason), give_up=self._held.lost.is_set)
        elif disposition.worker is WorkerNext.PAUSES:
            # A store that refuses the results may refuse this too. Where another took the lease, the fence holds.
            self._end(self._hand_back, give_up=self._shared.stopping)
        elif disposition.worker is WorkerNext.STOPS:
            self._end(lambda: self._engine_died(str(error)), give_up=self._held.lost.is_set)
        else:
            self._end(self._hand_back, give_up=self._held.lost.is_set)
        if disposition.worker is WorkerNext.STOPS:
            raise error

    def _judge_and_record(self) -> bool:
        future = self._start()
        if future is None:
            return True
        self._held.on_lost = future.cancel
        future.add_done_callback(lambda _: self._outcomes.put(None))
        try:
            self._record_until_end(future)
        finally:
            future.cancel()
        return self._result_of(future)

    def _start(self) -> Future[bool] | None:
        """Begin the work on the engine's loop; None when nothing of the shard is left. Raises UnsupportedJob."""
        try:
            database, engines = self._shared.database, self._shared.engines
            task = self._task = self._retried(lambda: load_task(database, self._lease, engines.name))
            work = task.start(engines, self._outcomes.put, self._shared.draining)
        except ConfigError as error:
            raise UnsupportedJob(error.what, hint=error.hint) from error
        if not task.solutions:
            work.close()
            return None
        return self._shared.loop.submit(work)

    def _record_until_end(self, future: Future[bool]) -> None:
        last_write = last_look = time.monotonic()
        critiques = 0
        ended = False
        while not ended:
            if self._held.lost.is_set():
                raise self._why_lost()
            if self._shared.stopping():
                future.cancel()
            outcome = self._next_outcome()
            ended = outcome is None
            if time.monotonic() - last_look >= self._shared.record_s:
                self._renew_plan()
                last_look = time.monotonic()
            if isinstance(outcome, SolutionScore):
                self._pending.append(outcome)
                critiques += len(outcome.critiques)
            elif isinstance(outcome, Response):
                self._partial.append(outcome)
            due = time.monotonic() - last_write >= self._shared.record_s or critiques >= _MAX_PENDING_CRITIQUES
            due = due or (self._urgent() and self._outcomes.empty())
            if (self._pending or self._partial) and (ended or due):
                self._retried(self._record)
                last_write, critiques = time.monotonic(), 0

    def _urgent(self) -> bool:
        return self._task is not None and self._task.urgent

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
                raise self._why_lost() from None
            return False

    def _why_lost(self) -> RprmError:
        return self._held.refusal or LeaseLost()

    def _record(self) -> None:
        keep = KeepCritiques.ALL if self._task is None else self._task.keep
        with self._shared.database.transaction() as connection:
            added = recording.record(connection, self._lease, self._pending, keep, partial=self._partial)
        self._shared.meter.recorded(self._pending, added)
        self._recorded = self._recorded or bool(self._pending)
        self._pending, self._partial = [], []
        self._shared.gate.accepted(RESULTS)

    def _finish(self) -> None:
        with self._shared.database.transaction() as connection:
            leases.finish(connection, self._lease)
        self._shared.gate.accepted(RESULTS)

    def _renew_plan(self) -> None:
        """Of a planned job: fit its next plan if one is due, and go on by the newest; on failure the next look tries.

        So where a pilot ends in the middle of a shard, the steps behind it do not get all critiques; nor do those of a
        shard that nothing has been recorded of.
        """
        if self._task is None or not self._task.work.awaits_plan:
            return
        work = self._task.work
        try:
            plan = newer_plan(self._shared.database, self._lease.job_id, work.stopping.now[1])
        except (StoreError, NotFound) as error:
            # Or the job was deleted just now, and has no use for a plan.
            _log.warning("the plan was not fitted: %s", error.what, extra=self._lease.log_context())
            return
        if plan is not None:
            work.stopping.adopt(work.recipe, plan)

    def _hand_back(self) -> None:
        with self._shared.database.transaction() as connection:
            held = leases.hand_back(connection, self._lease)
        if not held:
            # A job that is deleted just now looks like a store that refuses: its tables are missing.
            self._shared.gate.accepted(RESULTS)

    def _fail(self, error: str) -> None:
        with self._shared.database.transaction() as connection:
            settlement = failures.fail_held(connection, self._lease, error)
        if settlement is not None:
            _log.warning("the shard is %s", settlement.outcome, extra=self._lease.log_context())

    def _engine_died(self, error: str) -> None:
        with self._shared.database.transaction() as connection:
            failures.engine_died(connection, self._lease, error, progress=self._recorded)

    def _end(self, end: Callable[[], None], *, give_up: Callable[[], bool]) -> None:
        try:
            retry_transaction(end, for_s=self._shared.retry_for_s, give_up=give_up, repeat=StoreError)
        except StoreError as error:
            _log.error("the lease will lapse: %s", error.what, extra=self._lease.log_context())

    def _retried(self, action: Callable[[], T]) -> T:
        return retry_transaction(action, for_s=self._shared.retry_for_s, give_up=self._held.lost.is_set)


def _outcome(disposition: Disposition) -> str:
    """How an attempt that raised ended, for the meter."""
    if disposition.worker is WorkerNext.STOPS:
        return "engine died"
    ends = {LeaseEnd.LOST: "lost", LeaseEnd.LAPSES: "lapsed", LeaseEnd.FAILED: "failed"}
    return ends.get(disposition.lease, "handed back")
