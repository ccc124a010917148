"""Sessions: their timeouts are set, and every failure comes out as one of ours, without the password."""

from __future__ import annotations

import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from rprm_jobs.errors import CommitUnknown, ConfigError, SchemaError, StoreError, StoreUnavailable
from rprm_jobs.store.session import Database, driver_connection
from tests.support.jobs import wait_for
from tests.support.store import run

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("idle_in_transaction_session_timeout", "30s"),
        ("lock_timeout", "10s"),
        ("statement_timeout", "2min"),
        ("client_encoding", "UTF8"),
        ("TimeZone", "UTC"),
        ("application_name", "rprm-jobs tests"),
    ],
)
def test_a_session_is_set_up_to_be_lost_in_time(database: Database, name: str, value: str) -> None:
    assert run(database, "SELECT current_setting(:name) AS v", name=name)[0].v == value


def test_a_dead_network_is_noticed_in_seconds(database: Database) -> None:
    with database.transaction() as connection:
        link = socket.socket(fileno=os.dup(driver_connection(connection).fileno()))
    with link:
        if link.family == socket.AF_UNIX:
            pytest.skip("the servers are reached by a Unix socket, which has no network to lose")
        told = [link.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in _KEEPALIVE]
    assert told == [10, 5, 3, 20_000]


_KEEPALIVE = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")


def test_an_error_rolls_back_and_passes(database: Database) -> None:
    run(database, "CREATE TABLE t (x int)")

    def act() -> None:
        with database.transaction() as connection:
            connection.execute(text("INSERT INTO t VALUES (1)"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        act()
    assert run(database, "SELECT count(*) FROM t")[0][0] == 0


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("SELECT 1 FROM no_such_table", SchemaError),
        ("SELECT no_such_column FROM jobs", SchemaError),
        ("SELECT 1 / 0", StoreError),
        ("INSERT INTO workers (id) VALUES ('x')", StoreError),
        ("SELEC", StoreError),
    ],
)
def test_a_refused_statement_is_ours_and_never_worth_repeating(
    database: Database, statement: str, error: type[StoreError]
) -> None:
    with pytest.raises(error) as caught:
        run(database, statement)
    assert not isinstance(caught.value, StoreUnavailable)
    assert caught.value.hint
    assert "\n" not in caught.value.what


@pytest.mark.parametrize(
    "statements",
    [
        ["SET LOCAL statement_timeout = 50", "SELECT pg_sleep(5)"],
        ["SELECT pg_terminate_backend(pg_backend_pid())"],
        ["SET LOCAL idle_in_transaction_session_timeout = 50", "SELECT 1", "sleep", "SELECT 1"],
    ],
)
def test_a_lost_session_may_be_repeated(database: Database, statements: list[str]) -> None:
    def act() -> None:
        with database.transaction() as connection:
            for statement in statements:
                if statement == "sleep":
                    time.sleep(0.3)
                else:
                    connection.execute(text(statement))

    with pytest.raises(StoreUnavailable) as caught:
        act()
    assert not isinstance(caught.value, CommitUnknown)
    assert run(database, "SELECT 1 AS one")[0].one == 1


def test_waiting_for_a_lock_ends(database: Database) -> None:
    run(database, "CREATE TABLE t (x int)")

    def wait_for_lock() -> None:
        with database.transaction() as connection:
            connection.execute(text("SET LOCAL lock_timeout = 100"))
            connection.execute(text("LOCK TABLE t"))

    with database.transaction() as connection:
        connection.execute(text("LOCK TABLE t"))
        with pytest.raises(StoreUnavailable, match="busy"):
            wait_for_lock()


def test_a_link_that_breaks_at_commit_leaves_the_outcome_unknown(database: Database) -> None:
    def act() -> None:
        with database.transaction() as connection:
            pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            run(database, "SELECT pg_terminate_backend(:pid)", pid=pid)
            gone = "SELECT 1 FROM pg_stat_activity WHERE pid = :pid"
            wait_for(lambda: not run(database, gone, pid=pid), what="it is gone")

    with pytest.raises(CommitUnknown):
        act()


def test_a_disk_that_is_full_at_commit_is_a_refusal_and_no_unknown_outcome(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(text("CREATE TABLE t (x int)"))
        connection.execute(
            text(
                "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN RAISE 'no space' USING ERRCODE = '53100'; END $$"
            )
        )
        connection.execute(
            text(
                "CREATE CONSTRAINT TRIGGER full_disk AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED"
                " FOR EACH ROW EXECUTE FUNCTION full_disk()"
            )
        )
    with pytest.raises(StoreError, match="no space left") as caught:
        run(database, "INSERT INTO t VALUES (1)")
    assert not isinstance(caught.value, StoreUnavailable)
    assert run(database, "SELECT count(*) FROM t")[0][0] == 0


def test_a_pool_whose_connections_died_is_as_good_as_new(database: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: run(database, "SELECT pg_sleep(0.05)"), range(4)))
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    run(database, f"{kill} AND pid <> pg_backend_pid()")
    for _ in range(5):
        assert run(database, "SELECT 1 AS one")[0].one == 1


def test_a_snapshot_sees_one_moment_and_writes_nothing(database: Database) -> None:
    run(database, "CREATE TABLE t (x int)")
    with database.snapshot() as connection:
        assert connection.execute(text("SELECT count(*) FROM t")).scalar_one() == 0
        run(database, "INSERT INTO t VALUES (1)")
        assert connection.execute(text("SELECT count(*) FROM t")).scalar_one() == 0
    with pytest.raises(StoreError, match="read-only"), database.snapshot() as connection:
        connection.execute(text("INSERT INTO t VALUES (2)"))


@pytest.mark.parametrize(
    "url", ["mysql://u:secret@h/d", "sqlite:///x.db", "postgresql+asyncpg://u:secret@h/d", "host=h password=secret", ""]
)
def test_what_is_no_postgres_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Database(url)
    assert "secret" not in str(caught.value)
    assert "postgresql://" in caught.value.hint


def test_the_password_is_in_no_error() -> None:
    database = Database("postgresql://postgres:sEcReT@127.0.0.1:1/nothing")
    with pytest.raises(StoreUnavailable) as caught, database.transaction():
        pass
    chain: BaseException | None = caught.value
    while chain is not None:
        assert "sEcReT" not in str(chain)
        chain = chain.__cause__ or chain.__context__
    assert "sEcReT" not in repr(database.engine)
