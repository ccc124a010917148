"""The queue as Prometheus sees it: read from Postgres when it is scraped, by the service.

Where Postgres does not answer, a scrape has `rprm_store_up 0` and none of the store's numbers, so that an outage looks
like neither an empty queue nor a stalled one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from rprm_jobs.errors import StoreError
from rprm_jobs.store.queue import depth, workers
from rprm_jobs.store.queue.depth import Stored, Waiting
from rprm_jobs.store.records import WorkerInfo
from rprm_jobs.store.session import Database

# Reading all shards takes up to so much of the time, and at most once in so many seconds.
_SHARE = 0.05
_STORED_EVERY_S = 30.0


class StoreCollector(Collector):
    """Register it once in a process; every scrape reads `database` in one short transaction."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database, self._clock = database, clock
        self._lock = threading.Lock()
        self._stored: list[Stored] = []
        self._stored_again_at = float("-inf")

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Names alone: registering must not wait for Postgres."""
        yield from self._families([], [], [], None)
        yield _up(1)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """All families as they are now."""
        try:
            with self._lock, self._database.transaction() as connection:
                waiting = depth.waiting(connection)
                alive, swept_at = workers.alive(connection), workers.last_sweep(connection)
                if self._clock() >= self._stored_again_at:
                    began = self._clock()
                    self._stored = depth.stored(connection)
                    took = self._clock() - began
                    self._stored_again_at = self._clock() + max(_STORED_EVERY_S, took / _SHARE)
                stored = self._stored
        except StoreError:
            yield _up(0)
            return
        yield _up(1)
        yield from self._families(waiting, stored, alive, None if swept_at is None else swept_at.timestamp())

    def _families(
        self, waiting: list[Waiting], stored: list[Stored], alive: list[WorkerInfo], swept_at: float | None
    ) -> Iterator[GaugeMetricFamily]:
        yield from _of_queue(waiting, stored)
        yield from _of_outcomes(stored)
        yield from _of_workers(alive)
        sweep = GaugeMetricFamily("rprm_last_sweep_timestamp_seconds", "when a worker last swept, as the store has it")
        if swept_at is not None:
            sweep.add_metric([], swept_at)
        yield sweep


def _up(value: int) -> GaugeMetricFamily:
    return GaugeMetricFamily("rprm_store_up", "1 if Postgres answered this scrape, otherwise 0", value=value)


def _of_queue(waiting: list[Waiting], stored: list[Stored]) -> Iterator[GaugeMetricFamily]:
    shards = GaugeMetricFamily("rprm_shards", "shards by judge and state", labels=["judge", "state"])
    lapsed = GaugeMetricFamily("rprm_lapsed_leases", "leases that ran out and nobody settled", labels=["judge"])
    age = GaugeMetricFamily(
        "rprm_queue_age_seconds", "how long the oldest ready shard has waited; 0 if none is ready", labels=["judge"]
    )
    live = {row.judge: row for row in waiting}
    all_ = {row.judge: row for row in stored}
    for judge in sorted({*live, *all_}):
        row, sums = live.get(judge), all_.get(judge)
        shards.add_metric([judge, "ready"], row.ready if row else 0)
        shards.add_metric([judge, "leased"], row.leased if row else 0)
        shards.add_metric([judge, "done"], sums.done if sums else 0)
        shards.add_metric([judge, "cancelled"], sums.cancelled if sums else 0)
        lapsed.add_metric([judge], row.lapsed if row else 0)
        age.add_metric([judge], (row.oldest_s or 0.0) if row else 0.0)
    yield from (shards, lapsed, age)


def _of_outcomes(stored: list[Stored]) -> Iterator[GaugeMetricFamily]:
    solutions = GaugeMetricFamily(
        "rprm_stored_solutions", "solutions with an outcome, by judge and outcome", labels=["judge", "status"]
    )
    sums = {
        name: GaugeMetricFamily(f"rprm_stored_{name}", what, labels=["judge"])
        for name, what in (
            ("steps", "judged steps of all jobs that are kept"),
            ("critiques", "critiques of all jobs that are kept"),
            ("tokens", "generated tokens of all jobs that are kept"),
        )
    }
    for row in stored:
        for status in ("ok", "failed", "quarantined"):
            solutions.add_metric([row.judge, status], getattr(row, status))
        for name, family in sums.items():
            family.add_metric([row.judge], getattr(row, name))
    yield from (solutions, *sums.values())


def _of_workers(alive: list[WorkerInfo]) -> Iterator[GaugeMetricFamily]:
    families = {
        name: GaugeMetricFamily(f"rprm_alive_{name}", what, labels=["judge"])
        for name, what in (
            ("workers", "workers with a recent heartbeat"),
            ("worker_slots", "shards that these workers judge at the same time at most"),
            ("workers_in_trouble", "of these workers, those that cannot do something at the moment"),
        )
    }
    for judge in sorted({worker.judge for worker in alive}):
        serving = [worker for worker in alive if worker.judge == judge]
        families["workers"].add_metric([judge], len(serving))
        families["worker_slots"].add_metric([judge], sum(worker.slots for worker in serving))
        families["workers_in_trouble"].add_metric([judge], sum(worker.trouble is not None for worker in serving))
    yield from families.values()
