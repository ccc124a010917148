"""Fixtures for every tier: a migrated database cloned per test, a Redis db of the session's own, and their settings.

Servers: RPRM_TEST_SERVERS=external|embedded (default: external when the loopback answers). Without servers, tests that
need them skip on a laptop and fail where CI is set.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from rprm_jobs.services.context import Context, open_context
from rprm_jobs.settings import Settings
from rprm_jobs.store.schema import migrations
from rprm_jobs.store.session import Database
from tests.support import servers as support
from tests.support.pooler import PgBouncer, find_pgbouncer

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell ignores SIGINT for what it starts in the background, and the processes of the tests would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)

_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("RPRM_") and not name.startswith("RPRM_TEST_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def server_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[support.Session]:
    """This session's share of Postgres and Redis."""
    home = tmp_path_factory.mktemp("home")
    try:
        servers = support.find_servers(os.environ, home)
        session = support.Session(servers)
    except support.NoServers as reason:
        if os.environ.get("CI"):
            pytest.fail(str(reason), pytrace=False)
        pytest.skip(str(reason))
    support.flush(session.redis_url)
    try:
        yield session
    finally:
        support.flush(session.redis_url)
        session.close()
        if any(home.iterdir()):
            support.stop_embedded(home)


@pytest.fixture(scope="session")
def template_database(server_session: support.Session) -> str:
    """The name of a migrated, empty database to clone."""
    name = server_session.create(label="template")
    database = Database(server_session.url(name))
    try:
        migrations.upgrade(database)
    finally:
        database.close()
    return name


@pytest.fixture
def empty_database_url(server_session: support.Session) -> Iterator[str]:
    """The URL of a database without any schema."""
    name = server_session.create()
    yield server_session.url(name)
    server_session.drop(name)


@pytest.fixture
def database_url(server_session: support.Session, template_database: str) -> Iterator[str]:
    """The URL of a migrated database of the test's own."""
    name = server_session.create(template=template_database)
    yield server_session.url(name)
    server_session.drop(name)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The test's database, connected."""
    opened = Database(database_url, application="rprm-jobs tests")
    yield opened
    opened.close()


@pytest.fixture
def redis_url(server_session: support.Session) -> Iterator[str]:
    """The session's Redis db, empty before and after the test."""
    support.flush(server_session.redis_url)
    yield server_session.redis_url
    support.flush(server_session.redis_url)


@pytest.fixture
def pgbouncer(database_url: str, tmp_path: Path) -> Iterator[PgBouncer]:
    """A transaction pooler before the test's database."""
    program = find_pgbouncer()
    if program is None:
        reason = "pgbouncer is not installed (Debian: apt-get install pgbouncer)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    pooler = PgBouncer(program, tmp_path / "pgbouncer", database_url)
    yield pooler
    pooler.stop()


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    """Settings that name the test's servers, with short times."""
    return support.quick(Settings(home=tmp_path / "home", database_url=database_url, redis_url=redis_url))


@pytest.fixture
def context(settings: Settings) -> Iterator[Context]:
    """What services work with."""
    with open_context(settings) as opened:
        yield opened


@pytest.fixture
def servers_env(settings: Settings) -> dict[str, str]:
    """The environment for subprocesses: the test's servers, short leases, none of the user's own settings."""
    return support.subprocess_env(settings)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real data sets, which is not part of the project."""
    folder = Path(os.environ.get("RPRM_TEST_DATA") or _DATA)
    if not folder.is_dir():
        pytest.skip(f"no data sets in {folder}: set RPRM_TEST_DATA to their folder")
    return folder
