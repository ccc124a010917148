"""The store's numbers as Prometheus scrapes them."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from rprm_jobs.errors import StoreUnavailable
from rprm_jobs.services.context import Context
from rprm_jobs.services.metrics.store import StoreCollector
from rprm_jobs.store.session import Database
from tests.support import store
from tests.support.jobs import make_solutions, take_in

pytestmark = pytest.mark.integration


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def scrape(collector: StoreCollector) -> dict[tuple[str, ...], float]:
    registry = CollectorRegistry()
    registry.register(collector)
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }


def test_a_scrape_has_the_queue_and_what_is_stored(context: Context) -> None:
    take_in(context.database, make_solutions(6), shard=2)
    store.work_off(context.database, store.claim(context.database))
    store.claim(context.database)
    seen = scrape(StoreCollector(context.database))
    assert seen["rprm_store_up",] == 1
    states = {"ready": 1, "leased": 1, "done": 1, "cancelled": 0}
    assert {state: seen["rprm_shards", *sorted(("scripted", state))] for state in states} == states
    assert seen["rprm_stored_solutions", "ok", "scripted"] == 2
    assert seen["rprm_stored_critiques", "scripted"] == 12
    assert seen["rprm_queue_age_seconds", "scripted"] >= 0
    assert not any(name[0] == "rprm_last_sweep_timestamp_seconds" for name in seen)


def test_all_shards_are_read_now_and_then_and_the_queue_every_time(context: Context) -> None:
    clock = Clock()
    collector = StoreCollector(context.database, clock=clock)
    take_in(context.database, make_solutions(4), shard=2)
    assert scrape(collector)["rprm_shards", "done", "scripted"] == 0
    store.work_off(context.database, store.claim(context.database))
    clock.now = 29
    seen = scrape(collector)
    assert (seen["rprm_shards", "done", "scripted"], seen["rprm_shards", "ready", "scripted"]) == (0, 1)
    clock.now = 31
    assert scrape(collector)["rprm_shards", "done", "scripted"] == 1


def test_a_store_that_does_not_answer_is_no_empty_queue() -> None:
    class Silent(Database):
        def __init__(self) -> None:
            pass

        def transaction(self, *_: Any, **__: Any) -> Any:
            raise StoreUnavailable("Postgres does not answer")

    assert scrape(StoreCollector(Silent())) == {("rprm_store_up",): 0.0}
