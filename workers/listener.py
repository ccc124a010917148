"""The Celery side of a worker: receives notifications in a thread, and wakes a slot for each.

Celery's signal handling, time limits and soft shutdown are not used: with threads none of them can end a task, and
leases make them unnecessary. `workers.process` stops the worker.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rprm_jobs.errors import BrokerError
from workers.troubles import Troubles

if TYPE_CHECKING:
    from celery import Celery

_log = logging.getLogger(__name__)
_LISTENER = "notifications are not received"
_AGAIN_AFTER_S = 5.0
# Idle looks find the first work. A worker of one small job has ended by then, and never loads Celery, which takes as
# long as all else that a worker loads.
_BEGIN_AFTER_S = 2.0


def _register(app: Celery, notify: Callable[[], None]) -> None:
    """Define the one task: use a slot for whatever is most urgent in the queue."""
    from rprm_jobs.broker import JUDGE_SHARD, MESSAGE_VERSION

    @app.task(name=JUDGE_SHARD)  # type: ignore[untyped-decorator]
    def judge_shard(message: Mapping[str, Any]) -> None:
        # A newer sender may mean something else: the sweeper notifies again, for workers that understand the message.
        if message.get("v") != MESSAGE_VERSION:
            _log.info("message of version %r ignored", message.get("v"))
            return
        try:
            notify()
        except BaseException:  # noqa: BLE001
            # A thread that dies of a SystemExit or MemoryError would take a slot of Celery's pool with it.
            _log.exception("a slot failed")


class NotificationListener:
    """Consumes one queue and outlives any failure of Redis: Celery reconnects, and is started again if it gives up.

    Idle looks go on meanwhile, so no work waits for it. `notify` uses a slot for what is most urgent in the queue.
    """

    def __init__(
        self, redis_url: str, notify: Callable[[], None], *, queue: str, slots: int, name: str, troubles: Troubles
    ) -> None:
        self._redis_url, self._notify = redis_url, notify
        self._queue, self._slots, self._name = queue, slots, name
        self._troubles = troubles
        self._app: Celery | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notification-listener", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def alive(self) -> bool:
        """Whether it listens, or waits to listen again."""
        return self._thread.is_alive()

    def stop(self, timeout: float) -> None:
        """Stop listening. After `timeout` seconds the thread is abandoned, so a hanging Redis delays nothing."""
        self._stopping.set()
        if self._app is not None:
            from celery.worker import state

            state.should_stop = 0
        self._thread.join(timeout)

    def _run(self) -> None:
        if self._stopping.wait(_BEGIN_AFTER_S):
            return
        while not self._stopping.is_set():
            try:
                self._consume()
            except Exception as error:  # noqa: BLE001 - Redis may answer anything
                self._troubles.report(_LISTENER, error)
            self._stopping.wait(_AGAIN_AFTER_S)

    def _on_ready(self, **_: object) -> None:
        self._troubles.clear(_LISTENER)

    def _make_app(self) -> Celery:
        from celery.signals import worker_ready

        from rprm_jobs.broker import make_app

        worker_ready.connect(self._on_ready, weak=False)
        app = make_app(self._redis_url)
        _register(app, self._notify)
        return app

    def _consume(self) -> None:
        """Listen until told to stop. Raises BrokerError when Celery gave up."""
        from celery.worker.worker import WorkController

        self._app = self._app or self._make_app()
        if self._stopping.is_set():
            return
        worker = WorkController(
            app=self._app,
            hostname=self._name,
            pool_cls="threads",
            concurrency=self._slots,
            queues=[self._queue],
            loglevel=logging.WARNING,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
        )
        worker.start()
        if worker.exitcode:
            raise BrokerError("the listener gave up; its log says why", hint="see: rprm-jobs doctor")
