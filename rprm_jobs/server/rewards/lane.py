"""The lane of live requests: concurrent callers share transactions, and each waits for its own outcome.

What arrives while a batch is being stored goes into the next one, so batches grow with the load and nobody waits for
a timer. Outcomes are asked for by short polls of an index, all waiting callers in one statement: that works through a
transaction pooler, across restarts of every server, and beside other services on the same store.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from rprm_jobs.errors import Conflict, Deleted, NotPermitted, RowRefused, RprmError, SchemaError, ServiceError
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs import live
from rprm_jobs.services.jobs.live import LiveOutcome
from rprm_jobs.types import Solution

T = TypeVar("T")
_log = logging.getLogger(__name__)
_FIRST_POLL_S, _LAST_POLL_S, _SLOWER = 0.004, 0.05, 1.3
_FIRST_WAIT_S, _LAST_WAIT_S = 0.2, 2.0
_MOST_AT_ONCE = 1024
_THREADS = 4


class NotInTime(ServiceError):
    """There is no outcome within the deadline; judging goes on, and the same request finds it later."""


class Overloaded(ServiceError):
    """As many requests wait for an outcome as the service takes."""


@dataclass(slots=True)
class _Waiting:
    """One solution that callers wait for; `ord` once it is stored."""

    solution: Solution
    outcome: asyncio.Future[LiveOutcome]
    callers: int = 0
    ord: int | None = None


@dataclass(slots=True)
class _Group:
    """The solutions of one live job that are waited for, by id."""

    run: str
    recipe: Recipe
    waiting: dict[str, _Waiting] = field(default_factory=dict)
    job_id: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class LiveLane:
    """Used from one event loop. `close` it before the context."""

    def __init__(self, context: Context, *, most_waiting: int = 8192) -> None:
        self._context, self._most = context, most_waiting
        self._groups: dict[tuple[str, str], _Group] = {}
        # Its own threads, so that slow downloads of results cannot delay a reward.
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="live-lane")
        self._notifying: asyncio.Future[None] | None = None
        self._draining = False

    @property
    def waiting(self) -> int:
        """Solutions without an outcome that somebody waits for."""
        return sum(len(group.waiting) for group in self._groups.values())

    async def judge(self, run: str, recipe: Recipe, solution: Solution, timeout_s: float) -> LiveOutcome:
        """The outcome of the solution, whose id must come from its content.

        Raises NotInTime after `timeout_s` seconds, Overloaded, Conflict when the run is cancelled, and StoreError for
        what the store refuses for good.
        """
        if self._draining:
            raise _stopping()
        if self.waiting >= self._most:
            raise Overloaded(f"{self._most:,} solutions wait for an outcome", hint="send fewer at a time")
        group = self._group(run, recipe)
        entry = group.waiting.get(solution.id)
        if entry is None:
            entry = _Waiting(solution, asyncio.get_running_loop().create_future())
            group.waiting[solution.id] = entry
            group.arrived.set()
        entry.callers += 1
        try:
            return await asyncio.wait_for(asyncio.shield(entry.outcome), timeout_s)
        except TimeoutError:
            raise NotInTime(f"no outcome within {timeout_s:g} s", hint=_HINT) from None
        finally:
            entry.callers -= 1
            if not entry.callers and group.waiting.get(solution.id) is entry:
                del group.waiting[solution.id]
                entry.outcome.cancel()

    def _group(self, run: str, recipe: Recipe) -> _Group:
        key = (run, recipe.digest)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(run, recipe)
            group.task = asyncio.create_task(self._serve(key, group))
        return group

    async def _serve(self, key: tuple[str, str], group: _Group) -> None:
        """Store and look up until nobody waits; an outage of the store only makes it wait."""
        poll, wait = _FIRST_POLL_S, _FIRST_WAIT_S
        try:
            # The caller that made the group has not entered its solution yet.
            await group.arrived.wait()
            while group.waiting:
                try:
                    moved = await self._store_new(group) | await self._look_up(group)
                    wait = _FIRST_WAIT_S
                except ServiceError as error:
                    _log.warning("live requests wait: %s", error.what)
                    await asyncio.sleep(wait)
                    wait = min(wait * 2, _LAST_WAIT_S)
                    continue
                poll = _FIRST_POLL_S if moved else min(poll * _SLOWER, _LAST_POLL_S)
                await _event_or(group.arrived, poll)
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of any error
            _log.exception("the lane of run %s failed", group.run)
            _fail(group, error)
        finally:
            if self._groups.get(key) is group:
                del self._groups[key]

    async def _store_new(self, group: _Group) -> bool:
        group.arrived.clear()
        new = [entry for entry in group.waiting.values() if entry.ord is None][:_MOST_AT_ONCE]
        if not new:
            return False
        solutions = [entry.solution for entry in new]
        try:
            added = await self._in_thread(partial(live.add, self._context, group.run, group.recipe, solutions))
        except ServiceError as error:
            if not _is_final(error):
                raise
            for entry in new:
                _settle(entry, error)
            return False
        if added.job_id != group.job_id:
            # Cancelled or deleted meanwhile: what waits in the old job is looked for there no longer.
            for entry in group.waiting.values():
                entry.ord = None
            group.job_id = added.job_id
        for entry in new:
            entry.ord = added.ords[entry.solution.id]
        if added.new:
            self._notify(group.recipe)
        return True

    async def _look_up(self, group: _Group) -> bool:
        stored = {entry.ord: entry for entry in group.waiting.values() if entry.ord is not None}
        if not stored:
            return False
        try:
            outcomes = await self._in_thread(partial(live.look_up, self._context, group.job_id, list(stored)))
        except Deleted:
            for entry in stored.values():
                entry.ord = None
            return True
        for ord_, outcome in outcomes.by_ord.items():
            _settle(stored[ord_], outcome)
        if outcomes.cancelled:
            for ord_, entry in stored.items():
                if ord_ not in outcomes.by_ord:
                    _settle(entry, Conflict(f"job {group.job_id}, the live job of run {group.run!r}, was cancelled"))
        for entry in stored.values():
            if entry.outcome.done():
                group.waiting.pop(entry.solution.id, None)
        return bool(outcomes.by_ord)

    def _notify(self, recipe: Recipe) -> None:
        """Not awaited: a Redis that hangs must not hold up outcomes. One at a time, the next batch notifies again."""
        if self._notifying is None or self._notifying.done():
            self._notifying = asyncio.ensure_future(self._in_thread(partial(_notify_workers, self._context, recipe)))

    async def _in_thread(self, action: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, action)

    def drain(self) -> None:
        """The service stops: whoever waits is told to ask again, and finds the outcome then."""
        self._draining = True
        for group in self._groups.values():
            _fail(group, _stopping())

    async def close(self) -> None:
        """End all waiting; what was stored is judged all the same."""
        tasks = [group.task for group in self._groups.values() if group.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._pool.shutdown(wait=True, cancel_futures=True)


def _stopping() -> ServiceError:
    return ServiceError("the service is being restarted", hint=_HINT)


_HINT = "judging goes on: send the same request again; `rprm-jobs workers` says whether one serves the judge"


def _notify_workers(context: Context, recipe: Recipe) -> None:
    try:
        live.notify(context, recipe)
    except RprmError as error:
        _log.warning("workers were not notified (idle ones find it by themselves): %s", error.what)


def _is_final(error: ServiceError) -> bool:
    return isinstance(error, RowRefused | SchemaError | NotPermitted)


def _settle(entry: _Waiting, result: LiveOutcome | Exception) -> None:
    if entry.outcome.done():
        return
    if isinstance(result, LiveOutcome):
        entry.outcome.set_result(result)
    else:
        entry.outcome.set_exception(result)


def _fail(group: _Group, error: Exception) -> None:
    for entry in group.waiting.values():
        _settle(entry, error)
    group.waiting.clear()


async def _event_or(event: asyncio.Event, seconds: float) -> None:
    """Until the event is set, or for so long."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
