"""One worker process from start to end: the engine starts before any lease and stops after the last one.

The first SIGTERM or SIGINT gives solutions in progress `grace_s` seconds to finish; a second one stops them at once.
Complete solutions are recorded, the rest is handed back uncounted, and the exit status is 0. When the engine dies the
leases are handed back too, and the exit status is 8, so that a supervisor starts the worker again.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from rprm_jobs.engine import Engine, EngineInfo, EngineStats, Scorer
from rprm_jobs.errors import ConfigError
from rprm_jobs.logs import name_worker
from rprm_jobs.services.context import Context
from rprm_jobs.settings import Settings, check_redis_url
from rprm_jobs.store.records import WorkerInfo
from rprm_jobs.store.schema import migrations
from rprm_jobs.store.session import Database
from workers.attempt import WorkerDependencies
from workers.leases import LeaseKeeper
from workers.left_jobs import LeftJobs
from workers.listener import NotificationListener
from workers.loop import EngineLoop
from workers.maintenance import Maintenance
from workers.meter import Meter, Watched, serving_metrics
from workers.progress import ProgressLog
from workers.runtime import Runtime, RuntimeOptions, Stop
from workers.signals import Signals
from workers.store_gate import StoreGate
from workers.tasks.budget import Budget
from workers.tasks.dispatch import Engines
from workers.troubles import Troubles
from workers.witness import dismiss, start_witness
from workers.worker_lock import WorkerLock

_log = logging.getLogger(__name__)
_HAND_BACK_S = 10.0
_RETRY_FOR_S = 600.0
# No statement of a worker's takes longer (its locks are given up after 10 s), and a lease lives for longer.
_RESPONSE_TIMEOUT_S = 25.0
_THREAD_ENDED = 1
_LOOK_S = 0.05


@dataclass(frozen=True)
class ProcessOptions:
    """`slots` shards worked on at the same time; at most `in_flight` texts on each engine at once.

    `log` is the file that the process's log goes to, for those who ask.
    """

    slots: int
    in_flight: int
    log: str | None = None


@dataclass(frozen=True)
class Serving:
    """The queue to serve: that of a judge, of a policy alone, or of a policy and a judge together."""

    queue: str
    name: str
    engine: Engine | Scorer
    policy: Engine | None = None


def run_worker(settings: Settings, serving: Serving, options: ProcessOptions, signals: Signals) -> int:
    """Serve until asked to stop; returns the exit status. Raises RprmError for what is wrong before the first lease."""
    database_url, redis_url = _urls(settings)
    database = Database(
        database_url,
        application=f"rprm-jobs worker {serving.name}",
        # Slots for urgent shards come in addition.
        pool_size=2 * options.slots + 4,
        response_timeout_s=_RESPONSE_TIMEOUT_S,
    )
    migrations.check(database)
    loop = EngineLoop()
    try:
        with serving_metrics(settings, serving.name) as meter:
            info = loop.run(serving.engine.start())
            if serving.policy is not None:
                loop.run(serving.policy.start())
            signals.loading = False
            return _Worker(settings, serving, loop, database, redis_url, options, info, meter).serve(signals)
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
    check_redis_url(settings.redis_url)
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
        meter: Meter,
    ) -> None:
        self._settings, self._serving, self._loop = settings, serving, loop
        self._stop, troubles = Stop(), Troubles()
        gate = StoreGate(troubles)
        self._me = _worker_info(serving, info, options)
        dependencies = WorkerDependencies(
            database=database,
            engines=Engines(
                serving.engine, Budget(options.in_flight), serving.policy, Budget(options.in_flight), info.name
            ),
            loop=loop,
            troubles=troubles,
            gate=gate,
            progress=ProgressLog(database),
            left_jobs=LeftJobs(troubles),
            draining=self._stop.draining,
            stopping=self._stop.stopping,
            record_s=settings.record_s,
            retry_for_s=_RETRY_FOR_S,
            meter=meter,
        )
        # A separate pool, so that busy slots cannot block renewals.
        self._lease_database = Database(
            database.url, application="rprm-jobs leases", pool_size=2, response_timeout_s=_RESPONSE_TIMEOUT_S
        )
        direct_url = settings.database_direct_url or database.url
        self._direct_database = Database(
            direct_url, application="rprm-jobs worker lock", pool_size=1, response_timeout_s=_RESPONSE_TIMEOUT_S
        )
        self._lock = WorkerLock(self._lease_database, self._direct_database, self._me.id, troubles)
        self._keeper = LeaseKeeper(
            self._lease_database,
            self._me,
            self._stats,
            troubles,
            gate,
            lease_s=settings.lease_s,
            renew_s=settings.renew_s,
            lock_key=lambda: self._lock.key,
        )
        self._runtime = Runtime(
            dependencies, self._keeper, self._me, self._stop, RuntimeOptions(settings.lease_s, options.slots)
        )
        self._listener = NotificationListener(
            redis_url,
            self._runtime.notify,
            queue=serving.queue,
            slots=2 * options.slots,
            name=self._me.id,
            troubles=troubles,
        )
        self._maintenance = Maintenance(Context(settings, database), self._me.id, troubles, gate, meter)
        meter.watch(
            Watched(
                engine=self._me.engine,
                slots=options.slots,
                stats=self._stats,
                leases=lambda: len(self._keeper.held()),
                in_trouble=lambda: troubles.current() is not None,
            )
        )

    def _stats(self) -> EngineStats:
        """The statistics of the queue's model; the policy of a search adds its tokens."""
        stats, policy = self._serving.engine.stats(), self._serving.policy
        added = EngineStats(0, 0) if policy is None else policy.stats()
        return EngineStats(
            stats.prompt_tokens + added.prompt_tokens,
            stats.generated_tokens + added.generated_tokens,
            stats.prefix_hit_rate,
        )

    def serve(self, signals: Signals) -> int:
        """Work until asked to stop, the engine dies, or a thread ends that the worker cannot do without."""
        name_worker(self._me.id)
        witness = start_witness(self._me.id, self._settings.log_format)
        self._keeper.start()
        self._lock.start()
        self._maintenance.start()
        self._runtime.start()
        self._listener.start()
        _log.info("ready: %s on queue %s, %s", self._me.id, self._me.queue, self._me.engine)
        dead: list[str] = []
        while not signals.asked() and not self._stop.draining() and not (dead := self._dead_threads()):
            time.sleep(_LOOK_S)
        if dead:
            _log.critical("the worker stops: %s ended by itself", ", ".join(dead))
        self._leave(signals)
        dismiss(witness)
        if self._stop.engine_died is not None:
            return self._stop.engine_died.exit_code
        return _THREAD_ENDED if dead else 0

    def _dead_threads(self) -> list[str]:
        services = {
            "the lease keeper": self._keeper.alive(),
            "the idle look": self._runtime.alive(),
            "the listener": self._listener.alive(),
            "the engine's loop": self._loop.alive(),
            "the loop for the worker's lock": self._lock.loop.alive(),
            **{f"the loop for {loop.name!r}": loop.alive() for loop in self._maintenance.loops},
        }
        return [name for name, alive in services.items() if not alive]

    def _leave(self, signals: Signals) -> None:
        _log.info("stopping: solutions in progress have %.0f s to finish", self._settings.grace_s)
        self._stop.drain()
        deadline = time.monotonic() + self._settings.grace_s
        while not self._runtime.wait_until_drained(0.2):
            if time.monotonic() >= deadline or signals.asked_twice():
                self._stop.now()
                break
        if not self._runtime.wait_until_drained(_HAND_BACK_S):
            _log.error("some leases could not be handed back in time and will lapse")
        self._maintenance.stop()
        self._keeper.stop()
        self._lock.stop()
        self._listener.stop(timeout=3)
        self._lease_database.close()
        self._direct_database.close()
        _log.info("stopped")


def _worker_info(serving: Serving, info: EngineInfo, options: ProcessOptions) -> WorkerInfo:
    host, pid = socket.gethostname(), os.getpid()
    return WorkerInfo(
        id=f"{host}:{pid}:{secrets.token_hex(4)}",
        queue=serving.queue,
        judge=serving.name,
        engine=f"{info.name} {info.version}",
        host=host,
        pid=pid,
        slots=options.slots,
        started_at=datetime.now(UTC),
        silent_s=0.0,
        prompt_tokens=0,
        generated_tokens=0,
        prefix_hit_rate=None,
        log=options.log,
    )
