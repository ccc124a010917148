"""One worker process from start to end: the engine starts before any lease and stops after the last one.

The first SIGTERM or SIGINT gives solutions in progress `grace_s` seconds to finish; a second one stops them at once.
Complete solutions are recorded, the rest is handed back uncounted, and the exit status is 0. When the engine dies the
leases are handed back too, and the exit status is 8, so that a supervisor starts the worker again.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from types import FrameType

from rprm_jobs.broker import make_app
from rprm_jobs.engine import Engine, EngineInfo, EngineStats
from rprm_jobs.errors import ConfigError, StoreError, StoreUnavailable
from rprm_jobs.services.context import Context
from rprm_jobs.services.upkeep.dependents import create_dependents
from rprm_jobs.services.upkeep.sweep import notify_waiting, sweep
from rprm_jobs.settings import Settings
from rprm_jobs.store.records import WorkerInfo
from rprm_jobs.store.schema import migrations
from rprm_jobs.store.session import Database
from workers.attempt import WorkerDependencies
from workers.leases import LeaseKeeper
from workers.listener import NotificationListener, register
from workers.loop import EngineLoop
from workers.runtime import Periodic, Runtime, RuntimeOptions, Stop
from workers.tasks.budget import Budget
from workers.tasks.dispatch import Engines

_log = logging.getLogger(__name__)
_HAND_BACK_S = 10.0
_RETRY_FOR_S = 600.0
# No statement of a worker's takes longer (its locks are given up after 10 s), and a lease lives for longer.
_RESPONSE_TIMEOUT_S = 25.0


@dataclass(frozen=True)
class ProcessOptions:
    """`slots` shards worked on at the same time; at most `in_flight` texts on each engine at once."""

    slots: int
    in_flight: int


@dataclass(frozen=True)
class Serving:
    """The queue to serve: that of a judge, of a policy alone, or of a policy and a judge together."""

    queue: str
    name: str
    engine: Engine
    policy: Engine | None = None


class Signals:
    """Counts the requests to stop, from the first moment of the process."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.asked_twice = threading.Event()
        self.loading = True
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self.loading:
            # No lease is held yet: leave through the finally blocks, so that no engine process stays behind.
            raise SystemExit(0)
        (self.asked_twice if self.asked.is_set() else self.asked).set()


def run_worker(settings: Settings, serving: Serving, options: ProcessOptions) -> int:
    """Serve until told to stop; returns the exit status. Raises RprmError for anything wrong before the first lease."""
    signals = Signals()
    database_url, redis_url = _urls(settings)
    database = Database(
        database_url,
        application=f"rprm-jobs worker {serving.name}",
        pool_size=options.slots + 4,
        response_timeout_s=_RESPONSE_TIMEOUT_S,
    )
    migrations.check(database)
    loop = EngineLoop()
    try:
        info = loop.run(serving.engine.start())
        if serving.policy is not None:
            loop.run(serving.policy.start())
        signals.loading = False
        return _Worker(settings, serving, loop, database, redis_url, options, info).serve(signals)
    finally:
        signals.loading = False
        for engine in (serving.engine, serving.policy):
            if engine is not None:
                loop.run(engine.close(), timeout=30)
        loop.stop()
        database.close()


def _urls(settings: Settings) -> tuple[str, str]:
    if not settings.database_url or not settings.redis_url:
        raise ConfigError(
            "a worker needs RPRM_DATABASE_URL and RPRM_REDIS_URL",
            hint="start it with `rprm-jobs worker`, which fills in the embedded servers",
        )
    return settings.database_url, settings.redis_url


class _Worker:
    def __init__(
        self,
        settings: Settings,
        serving: Serving,
        loop: EngineLoop,
        database: Database,
        redis_url: str,
        options: ProcessOptions,
        info: EngineInfo,
    ) -> None:
        self._settings, self._serving = settings, serving
        self._stop = Stop()
        self._me = _worker_info(serving, info, options.slots)
        dependencies = WorkerDependencies(
            database=database,
            engines=Engines(serving.engine, Budget(options.in_flight), serving.policy, Budget(options.in_flight)),
            loop=loop,
            draining=self._stop.draining,
            stopping=self._stop.stopping,
            record_s=settings.record_s,
            retry_for_s=_RETRY_FOR_S,
        )
        # A separate pool, so that busy slots cannot block renewals.
        self._lease_database = Database(
            database.url, application="rprm-jobs leases", pool_size=2, response_timeout_s=_RESPONSE_TIMEOUT_S
        )
        self._keeper = LeaseKeeper(
            self._lease_database,
            self._me,
            self._stats,
            lease_s=settings.lease_s,
            renew_s=settings.renew_s,
        )
        self._runtime = Runtime(
            dependencies, self._keeper, self._me, self._stop, RuntimeOptions(settings.lease_s, options.slots)
        )
        app = make_app(redis_url)
        register(app, self._runtime.notify)
        self._listener = NotificationListener(app, serving.queue, options.slots, self._me.id)
        self._may_create_dependents = True
        self._context = Context(settings, database)
        self._notifier = self._context.notifier
        self._sweeper = Periodic("sweeper", settings.sweep_s, self._sweep)
        # A thread of its own, since copying a large job takes minutes and leases must be swept meanwhile.
        self._dependents = Periodic("dependents", settings.sweep_s, self._create_dependents)
        self._database = database

    def _stats(self) -> EngineStats:
        """The statistics of the queue's model; the policy of a search adds its tokens."""
        stats, policy = self._serving.engine.stats(), self._serving.policy
        added = EngineStats(0, 0) if policy is None else policy.stats()
        return EngineStats(
            stats.prompt_tokens + added.prompt_tokens,
            stats.generated_tokens + added.generated_tokens,
            stats.prefix_hit_rate,
        )

    def _sweep(self) -> None:
        sweep(self._database, after_start_s=self._settings.lease_s)
        notify_waiting(self._database, self._notifier)

    def _create_dependents(self) -> None:
        if not self._may_create_dependents:
            return
        try:
            create_dependents(self._context)
        except StoreUnavailable:
            raise
        except StoreError as error:
            # Usually the worker's database role may not create jobs: the user's command does when it is run again.
            self._may_create_dependents = False
            _log.warning("dependent jobs are left to others: %s", error.what)

    def serve(self, signals: Signals) -> int:
        """Judge until asked to stop or the engine dies."""
        self._keeper.start()
        self._sweeper.start()
        self._dependents.start()
        self._runtime.start()
        self._listener.start()
        _log.info("ready: %s on queue %s, %s", self._me.id, self._me.queue, self._me.engine)
        while not signals.asked.wait(0.2) and not self._stop.draining():
            pass
        self._leave(signals)
        return 0 if self._stop.engine_died is None else self._stop.engine_died.exit_code

    def _leave(self, signals: Signals) -> None:
        _log.info("stopping: solutions in progress have %.0f s to finish", self._settings.grace_s)
        self._stop.drain()
        deadline = time.monotonic() + self._settings.grace_s
        while not self._runtime.wait_until_drained(0.2):
            if time.monotonic() >= deadline or signals.asked_twice.is_set():
                self._stop.now()
                break
        if not self._runtime.wait_until_drained(_HAND_BACK_S):
            _log.error("some leases could not be handed back in time and will lapse")
        self._sweeper.stop()
        self._dependents.stop()
        self._keeper.stop()
        self._listener.stop(timeout=3)
        self._notifier.close()
        self._lease_database.close()
        _log.info("stopped")


def _worker_info(serving: Serving, info: EngineInfo, slots: int) -> WorkerInfo:
    host, pid = socket.gethostname(), os.getpid()
    return WorkerInfo(
        id=f"{host}:{pid}:{secrets.token_hex(4)}",
        queue=serving.queue,
        judge=serving.name,
        engine=f"{info.name} {info.version}",
        host=host,
        pid=pid,
        slots=slots,
        started_at=datetime.now(UTC),
        silent_s=0.0,
        prompt_tokens=0,
        generated_tokens=0,
        prefix_hit_rate=None,
    )
