"""What a worker does for all: when it counts a lapse, and what its loops do about rubbish and missing rights."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from rprm_jobs.errors import ConfigError, NotPermitted, StoreError
from rprm_jobs.services.context import Context
from rprm_jobs.settings import Settings
from tests.support import servers, store
from tests.support.jobs import make_solutions, take_in
from tests.support.worker_parts import WorkerParts
from workers import maintenance as module
from workers.maintenance import Maintenance
from workers.meter import NoMeter
from workers.store_gate import LEASES

pytestmark = pytest.mark.integration


@pytest.fixture
def maintenance(parts: WorkerParts, server_session: servers.Session, tmp_path: Any) -> Iterator[Maintenance]:
    """The loops of the worker, not started."""
    settings = replace(Settings(home=tmp_path), redis_url=server_session.redis_url, lease_s=60.0)
    context = Context(settings, parts.database)
    yield Maintenance(context, parts.worker.id, parts.troubles, parts.gate, NoMeter())
    context.notifier.close()


def test_a_lapse_is_counted_only_when_the_store_was_steady_for_the_length_of_a_lease(
    parts: WorkerParts, maintenance: Maintenance
) -> None:
    job = take_in(parts.database, make_solutions(2)).job_id
    lease = store.claim(parts.database, "gone")
    store.lapse(parts.database, lease.shard_id)
    parts.gate.refused(LEASES, StoreError("full"))
    maintenance._sweep()
    parts.gate.accepted(LEASES)
    parts.clock.now += 59.0
    maintenance._sweep()
    assert [row.state for row in store.shard_rows(parts.database, job)] == ["leased"]
    parts.clock.now += 1.0
    maintenance._sweep()
    assert [(row.state, row.failures) for row in store.shard_rows(parts.database, job)] == [("ready", 1)]


def test_rights_that_are_missing_are_told_once_and_are_no_trouble(
    maintenance: Maintenance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NotPermitted("this database role may not do that")

    monkeypatch.setattr(module, "create_dependents", refuse)
    with caplog.at_level(logging.WARNING, logger="workers.maintenance"):
        for _ in range(3):
            maintenance._create_dependents()
    assert [record.message for record in caplog.records] == [
        "dependent jobs are left to others: this database role may not do that"
    ]


def test_what_cannot_be_read_is_told_after_the_others_were_served(
    maintenance: Maintenance, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[int] = []

    def create(_: Context, *, unreadable: Any) -> list[int]:
        unreadable(ConfigError("the score job of job 3 cannot be created"))
        served.append(4)
        return served

    monkeypatch.setattr(module, "create_dependents", create)
    with pytest.raises(ConfigError, match="job 3"):
        maintenance._create_dependents()
    assert served == [4]
