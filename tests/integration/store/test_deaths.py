"""Deaths that are seen: the shards of a dead worker are taken back once, and those of a living one never."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from rprm_jobs.errors import ConfigError, StoreError
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.query import failed_attempts
from rprm_jobs.services.upkeep import deaths
from rprm_jobs.services.upkeep.deaths import settle_dead, settle_vanished
from rprm_jobs.store.queue import workers
from rprm_jobs.store.records import WorkerInfo
from rprm_jobs.store.session import Database
from rprm_jobs.store.session_lock import SessionLock
from tests.support.jobs import JUDGE, assert_clean, make_solutions, take_in, wait_for
from tests.support.pooler import PgBouncer
from tests.support.proxy import Proxy
from tests.support.store import claim, run, shard_rows, work_off_all
from workers.troubles import Troubles
from workers.worker_lock import WorkerLock

pytestmark = pytest.mark.integration

WORKER = WorkerInfo("w1", JUDGE.queue, "scripted", "scripted 1", "host", 1, 4, datetime.now(UTC), 0.0, 0, 0, None)


@pytest.fixture
def direct(database_url: str) -> Iterator[Database]:
    """The pool of a worker's lock."""
    opened = Database(database_url, pool_size=1)
    yield opened
    opened.close()


@pytest.fixture
def lock(direct: Database) -> Iterator[SessionLock]:
    """The lock of the worker w1."""
    held = SessionLock(direct)
    yield held
    held.release()


def announce(database: Database, worker_id: str, key: int | None) -> None:
    with database.transaction() as connection:
        workers.announce(connection, replace(WORKER, id=worker_id), lock_key=key)


_HOLDS = "locktype = 'advisory' AND (classid::bigint << 32) | objid::bigint = :key"


def wait_free(database: Database, key: int) -> None:
    """Until the server has noticed the end of the session that held the lock."""
    wait_for(lambda: not run(database, f"SELECT 1 FROM pg_locks WHERE {_HOLDS}", key=key), what="the lock is free")


def end_lock(database: Database, key: int) -> None:
    """End the session that holds the lock, as the death of its process does."""
    run(database, f"SELECT pg_terminate_backend(pid) FROM pg_locks WHERE {_HOLDS}", key=key)
    wait_free(database, key)


def vanished(database: Database, *, after_start_s: float = 0.0) -> list[str]:
    settled = settle_vanished(database, after_start_s=after_start_s, sleep=lambda _: None)
    return [settlement.outcome for settlement in settled]


def test_a_worker_whose_lock_is_free_loses_its_shards_and_nobody_else_does(
    context: Context, database: Database, lock: SessionLock
) -> None:
    job = take_in(database, make_solutions(8), shard=2).job_id
    key = lock.acquire()
    announce(database, "w1", key)
    announce(database, "w2", None)
    dead, other, _ = claim(database, "w1"), claim(database, "w2"), claim(database, "w1")
    assert vanished(database) == []
    lock.release()
    wait_free(database, key)
    assert vanished(database) == ["again", "again"]
    rows = {row.id: row for row in shard_rows(database, job)}
    assert rows[dead.shard_id].error == "attempt 1: the worker w1 died"
    assert rows[other.shard_id].state == "leased"
    assert [row.id for row in run(database, "SELECT id FROM workers")] == ["w2"]
    assert {(a.worker, a.reason) for a in failed_attempts(context, job)} == {("w1", "the worker w1 died")}
    assert vanished(database) == []
    run(database, "UPDATE shards SET state = 'ready', owner = NULL, lease_until = NULL WHERE state = 'leased'")
    work_off_all(database)
    assert_clean(context)


@pytest.mark.parametrize("sign", ["a heartbeat", "another lock", "no lock"])
def test_a_sign_of_life_within_the_grace_saves_a_worker_whose_connection_broke(
    database: Database, lock: SessionLock, sign: str
) -> None:
    take_in(database, make_solutions(2), shard=2)
    key = lock.acquire()
    announce(database, "w1", key)
    claim(database, "w1")
    end_lock(database, key)
    waited = []

    def live(seconds: float) -> None:
        waited.append(seconds)
        if sign == "a heartbeat":
            announce(database, "w1", key)
        else:
            with database.transaction() as connection:
                assert workers.show_lock(connection, "w1", lock.acquire() if sign == "another lock" else None)

    assert settle_vanished(database, sleep=live) == []
    assert waited == [deaths.GRACE_S]
    assert [row.state for row in run(database, "SELECT state FROM shards")] == ["leased"]


def test_after_postgres_has_started_nobody_is_taken_for_dead(database: Database, lock: SessionLock) -> None:
    take_in(database, make_solutions(2), shard=2)
    key = lock.acquire()
    announce(database, "w1", key)
    claim(database, "w1")
    lock.release()
    wait_free(database, key)
    (up,) = run(database, "SELECT extract(epoch FROM now() - pg_postmaster_start_time())::float8 AS s")
    assert vanished(database, after_start_s=up.s + 60) == []
    assert vanished(database, after_start_s=up.s / 2) == ["again"]


def test_a_death_that_many_see_is_counted_once(context: Context, database: Database) -> None:
    job = take_in(database, make_solutions(20), shard=1).job_id
    for _ in range(20):
        claim(database, "w1")
    with ThreadPoolExecutor(4) as pool:
        settled = [s for found in pool.map(lambda _: settle_dead(database, "w1"), range(4)) for s in found]
    assert len(settled) == 20
    assert {row.failures for row in shard_rows(database, job)} == {1}
    again = claim(database, "w3")
    assert settle_dead(database, "w1") == []
    assert {row.owner for row in shard_rows(database, job) if row.id == again.shard_id} == {"w3"}
    assert_clean(context)


def test_a_broken_lock_is_noticed_and_a_quiet_one_asks_nothing(database: Database, lock: SessionLock) -> None:
    assert lock.broken()
    key = lock.acquire()
    assert not lock.broken()
    end_lock(database, key)
    assert lock.broken()
    assert lock.acquire() != key
    assert not lock.broken()


def test_a_released_lock_goes_back_into_no_pool(database: Database, lock: SessionLock) -> None:
    key = lock.acquire()
    lock.release()
    wait_free(database, key)


def worker_lock(database: Database, direct: Database) -> WorkerLock:
    announce(database, "w1", None)
    return WorkerLock(database, direct, "w1", Troubles())


def shown(database: Database) -> int | None:
    key: int | None = run(database, "SELECT lock_key FROM workers WHERE id = 'w1'")[0].lock_key
    return key


def test_a_worker_shows_its_lock_and_a_new_one_when_that_broke(database: Database, direct: Database) -> None:
    held = worker_lock(database, direct)
    held.look()
    first = held.key
    assert first is not None
    assert shown(database) == first
    held.look()
    assert held.key == first
    end_lock(database, first)
    held.look()
    assert held.key not in (None, first)
    assert shown(database) == held.key
    assert vanished(database) == []
    held.start()
    held.stop()
    wait_free(database, held.key or 0)


def test_a_worker_that_cannot_take_a_new_lock_says_that_it_has_none(database: Database, database_url: str) -> None:
    proxy, url = Proxy.before(database_url)
    direct = Database(url, pool_size=1)
    held = worker_lock(database, direct)
    held.look()
    proxy.close()

    def fails() -> bool:
        proxy.hang_up()
        try:
            held.look()
        except StoreError:
            return True
        return False

    wait_for(fails, what="no new connection is to be had")
    assert (held.key, shown(database)) == (None, None)
    direct.close()


def test_a_direct_url_to_another_database_is_refused_and_kills_nobody(
    database: Database, empty_database_url: str
) -> None:
    elsewhere = Database(empty_database_url, pool_size=1)
    held = worker_lock(database, elsewhere)
    with pytest.raises(ConfigError, match="cannot be seen"):
        held.look()
    assert shown(database) is None
    elsewhere.close()


def test_behind_a_transaction_pooler_there_is_no_lock(database: Database, pgbouncer: PgBouncer) -> None:
    pooled = Database(pgbouncer.url, pool_size=1)
    held = worker_lock(database, pooled)
    held.look()
    assert (held.key, shown(database)) == (None, None)
    pooled.close()
