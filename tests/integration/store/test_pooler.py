"""Behind a real PgBouncer: time-outs hold, no session is needed, and what needs one is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from rprm_jobs.errors import ConfigError, StoreError, StoreUnavailable
from rprm_jobs.services.context import Context, open_context, upgrade_schema
from rprm_jobs.settings import Settings
from rprm_jobs.store.pooler import Pooling, find_pooling, refuse_another_database
from rprm_jobs.store.schema import migrations
from rprm_jobs.store.session import Database
from tests.support.jobs import assert_clean, make_solutions, take_in
from tests.support.pooler import PgBouncer
from tests.support.proxy import Proxy
from tests.support.servers import with_path
from tests.support.store import run, work_off_all

pytestmark = pytest.mark.integration


@pytest.fixture
def pooled(pgbouncer: PgBouncer) -> Iterator[Database]:
    """The test's database through the pooler."""
    opened = Database(pgbouncer.url)
    yield opened
    opened.close()


def test_the_time_outs_hold_in_every_transaction_on_whatever_session(pooled: Database) -> None:
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "TimeZone", "jit")
    query = f"SELECT {', '.join(f'current_setting({name!r})' for name in names)}, pg_sleep(0.05)"
    with ThreadPoolExecutor(4) as pool:
        found = {tuple(row)[:-1] for rows in pool.map(lambda _: run(pooled, query), range(12)) for row in rows}
    assert found == {("2min", "10s", "30s", "UTC", "off")}


def test_a_statement_that_takes_too_long_is_cut_through_the_pooler(pooled: Database) -> None:
    def wait() -> None:
        with pooled.transaction() as connection:
            connection.execute(text("SET LOCAL statement_timeout = 100"))
            connection.execute(text("SELECT pg_sleep(5)"))

    with pytest.raises(StoreUnavailable, match="statement timeout"):
        wait()
    assert run(pooled, "SELECT current_setting('statement_timeout') AS v")[0].v == "2min"


def test_a_job_goes_from_intake_to_audit_and_leaves_nothing_in_a_session(
    settings: Settings, pgbouncer: PgBouncer, pooled: Database, database: Database
) -> None:
    job = take_in(pooled, make_solutions(40), shard=4).job_id
    # Often enough that a driver would begin to prepare its statements.
    assert work_off_all(pooled) == 10
    with open_context(replace(settings, database_url=pgbouncer.url)) as context:
        assert_clean(context, job)
    assert run(database, "SELECT relname FROM pg_class WHERE relpersistence = 't' AND relkind = 'r'") == []
    with pooled.transaction() as connection:
        assert connection.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar_one() == 0


def test_a_pooler_is_told_from_a_server_and_from_a_plain_proxy(database: Database, pooled: Database) -> None:
    assert find_pooling(pooled) is Pooling.TRANSACTION
    assert find_pooling(database) is Pooling.NONE
    proxy, url = Proxy.before(database.url)
    behind = Database(url)
    assert find_pooling(behind) is Pooling.NONE
    behind.close()
    proxy.close()


def test_a_pooler_of_sessions_is_one_that_migrations_may_use(
    pgbouncer: PgBouncer, empty_database_url: str, tmp_path: Path
) -> None:
    sessions = PgBouncer(pgbouncer.program, tmp_path / "sessions", empty_database_url, mode="session")
    database = Database(sessions.url)
    assert find_pooling(database) is Pooling.SESSION
    assert migrations.upgrade(database) == (None, migrations.head_revision())
    database.close()
    sessions.stop()


def through(pgbouncer: PgBouncer, url: str, settings: Settings, direct: str | None) -> Context:
    pooled = with_path(pgbouncer.url, urlsplit(url).path.removeprefix("/"))
    changed = replace(settings, database_url=pooled, database_direct_url=direct)
    return Context(changed, Database(pooled))


def test_migrations_are_refused_through_the_pooler_and_done_past_it(
    pgbouncer: PgBouncer, empty_database_url: str, settings: Settings
) -> None:
    shut = through(pgbouncer, empty_database_url, settings, None)
    with pytest.raises(ConfigError, match="PgBouncer") as caught:
        upgrade_schema(shut)
    assert "RPRM_DATABASE_DIRECT_URL" in caught.value.hint
    assert migrations.current_revision(shut.database) is None
    again = through(pgbouncer, empty_database_url, settings, shut.settings.database_url)
    with pytest.raises(ConfigError, match="PgBouncer"):
        upgrade_schema(again)
    opened = through(pgbouncer, empty_database_url, settings, empty_database_url)
    assert upgrade_schema(opened) == (None, migrations.head_revision())
    # What is there already needs no session.
    assert upgrade_schema(shut)[0] == migrations.head_revision()
    for context in (shut, again, opened):
        context.close()


def test_a_direct_url_to_another_database_is_refused(database: Database, empty_database_url: str) -> None:
    other = Database(empty_database_url)
    with pytest.raises(ConfigError, match="different databases"):
        refuse_another_database(other, database)
    refuse_another_database(database, database)
    other.close()


def test_a_startup_parameter_that_the_pooler_refuses_is_named(pgbouncer: PgBouncer) -> None:
    database = Database(f"{pgbouncer.url}?options=-cjit%3Doff")
    with pytest.raises(StoreError, match="pooler stands before Postgres") as caught:
        run(database, "SELECT 1")
    assert not isinstance(caught.value, StoreUnavailable)
    assert "ignore_startup_parameters" in caught.value.hint
    database.close()


def test_a_pooler_that_restarts_costs_a_repeated_transaction(pgbouncer: PgBouncer, pooled: Database) -> None:
    def act() -> None:
        with pooled.transaction() as connection:
            connection.execute(text("SELECT 1"))
            pgbouncer.restart()
            connection.execute(text("SELECT 1"))

    with pytest.raises(StoreUnavailable):
        act()
    assert run(pooled, "SELECT 1 AS one")[0].one == 1
