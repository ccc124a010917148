"""A training set that is deleted while it is read."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rprm_jobs.errors import Conflict
from rprm_jobs.pairs.rules import PairRule, PairRules, SetKind
from rprm_jobs.services.context import Context
from rprm_jobs.store.session import Database
from rprm_jobs.store.training import sets
from rprm_jobs.store.training.rows import read_rows
from tests.integration.pairs.test_build import labelled
from tests.support.jobs import wait_for
from tests.support.store import run
from tests.support.training import build_set, scripted

pytestmark = pytest.mark.integration


def test_deleting_a_set_waits_for_its_reader_and_never_for_ever(
    context: Context, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both lock the set's row before its rows: the other way round each waited for the other, and Postgres shot one."""
    build_set(context, "s", scripted(database, labelled(24)), PairRules(rule=PairRule.ALL, balance=False))
    with database.transaction() as connection:
        stored = sets.get(connection, "s", SetKind.PAIRS)
    dropping, reading = threading.Event(), threading.Event()
    drop_child = sets.drop_child

    def slow_drop(connection: Any, child: str) -> None:
        drop_child(connection, child)
        dropping.set()
        # The reader gets to wherever it must wait.
        reading.wait(10)
        wait_for(lambda: run(database, _WAITING)[0].n, what="the reader waits")

    monkeypatch.setattr(sets, "drop_child", slow_drop)

    def delete() -> None:
        with database.transaction() as connection:
            sets.delete(connection, stored.id)

    def read() -> int:
        assert dropping.wait(10)
        reading.set()
        return len(list(read_rows(database, stored.id, validation=False)))

    with ThreadPoolExecutor(2) as pool:
        deleting, read_ = pool.submit(delete), pool.submit(read)
        deleting.result(20)
        with pytest.raises(Conflict, match="deleted while it was read"):
            read_.result(20)


_WAITING = "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
