"""The parts of a worker wired together in this process, without Redis and without threads that look for work."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from rprm_jobs.store.records import WorkerInfo
from rprm_jobs.store.session import Database
from tests.support import store
from tests.support.jobs import JUDGE
from workers.attempt import Attempt, WorkerDependencies
from workers.leases import HeldLease, LeaseKeeper
from workers.left_jobs import LeftJobs
from workers.loop import EngineLoop
from workers.progress import ProgressLog
from workers.runtime import Runtime, RuntimeOptions, Stop
from workers.store_gate import StoreGate
from workers.tasks.budget import Budget
from workers.tasks.dispatch import Engines
from workers.tasks.judging import Judging
from workers.troubles import Troubles

WORKER = "w1"


class Clock:
    """Stands still until it is moved on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class WorkerParts:
    """`runtime.notify()` works in the caller's thread until nothing is ready or nothing may be claimed."""

    def __init__(
        self, database: Database, engine: Any, *, slots: int = 2, lease_s: float = 60.0, in_flight: int = 100
    ) -> None:
        self.database, self.engine, self.clock = database, engine, Clock()
        self.troubles, self.stop, self.loop = Troubles(), Stop(), EngineLoop()
        self.gate = StoreGate(self.troubles, clock=self.clock)
        self.loop.run(engine.start())
        self.shared = WorkerDependencies(
            database=database,
            engines=Engines(engine, Budget(in_flight), None, Budget(in_flight), "scripted"),
            loop=self.loop,
            troubles=self.troubles,
            gate=self.gate,
            progress=ProgressLog(database),
            left_jobs=LeftJobs(self.troubles, clock=self.clock),
            draining=self.stop.draining,
            stopping=self.stop.stopping,
            record_s=0.05,
            retry_for_s=2.0,
        )
        self.worker = _worker_info(slots)
        self._options = RuntimeOptions(lease_s, slots)
        self.use(self.new_keeper(lease_s))

    def new_keeper(self, lease_s: float) -> LeaseKeeper:
        """A keeper of leases of this length, not yet started."""
        return LeaseKeeper(
            self.database, self.worker, self.engine.stats, self.troubles, self.gate, lease_s=lease_s, renew_s=0.1
        )

    def use(self, keeper: LeaseKeeper) -> None:
        """Let the slots work with this keeper."""
        self.keeper = keeper
        self.runtime = Runtime(self.shared, keeper, self.worker, self.stop, self._options)

    def forget(self) -> None:
        """What this process judged before is forgotten, as if it had just started."""
        self._replace(judging=Judging())

    def call_engine(self, name: str) -> None:
        """Let the engine be of this name."""
        self._replace(name=name)

    def _replace(self, **parts: Any) -> None:
        self.shared = replace(self.shared, engines=replace(self.shared.engines, **parts))
        self.use(self.keeper)

    def attempt(self) -> HeldLease:
        """Claim the next shard and make one attempt at it, outside the slots; what it raises goes to the caller."""
        held = HeldLease(store.claim(self.database, WORKER))
        Attempt(self.shared, held).run()
        return held

    def close(self) -> None:
        """End the engine's loop."""
        self.stop.now()
        self.loop.run(self.engine.close())
        self.loop.stop()


def _worker_info(slots: int) -> WorkerInfo:
    names = dict.fromkeys(("judge", "engine", "host"), "scripted")
    return WorkerInfo(
        id=WORKER,
        queue=JUDGE.queue,
        **names,
        pid=1,
        slots=slots,
        started_at=datetime.now(UTC),
        silent_s=0.0,
        prompt_tokens=0,
        generated_tokens=0,
        prefix_hit_rate=None,
    )


def refuse(database: Database, sqlstate: str, table: str = "verdicts", event: str = "INSERT") -> None:
    """From now on Postgres answers this SQLSTATE to every such statement on the table, until `allow`."""
    store.run(
        database,
        f"CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$"
        f" BEGIN RAISE EXCEPTION 'refused by a test' USING ERRCODE = '{sqlstate}'; END $$",
    )
    store.run(
        database,
        f"CREATE OR REPLACE TRIGGER refuse BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()",
    )


def allow(database: Database, table: str = "verdicts") -> None:
    """Undo `refuse`."""
    store.run(database, f"DROP TRIGGER IF EXISTS refuse ON {table}")
