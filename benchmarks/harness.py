"""What every benchmark shares: a scratch database, the machine's name, a child process with its peak memory, JSON out.

Servers: RPRM_DATABASE_URL and RPRM_REDIS_URL (default: local ones with trust authentication). The database named there
is only used to create and drop a scratch one.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg import sql

from rprm_jobs import local
from rprm_jobs.local.paths import find_paths
from rprm_jobs.services.context import Context
from rprm_jobs.settings import Settings, load_settings
from rprm_jobs.store.schema import migrations
from rprm_jobs.store.session import Database

_DATABASE = os.environ.get("RPRM_DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
_REDIS = os.environ.get("RPRM_REDIS_URL", "redis://127.0.0.1:6379/14")


@dataclass(frozen=True)
class Ran:
    """A finished child: wall seconds, CPU seconds, peak resident memory in MiB, and what it printed on stdout."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    stdout: str


@contextmanager
def scratch_database() -> Iterator[str]:
    """The URL of a fresh, migrated database, dropped at the end."""
    name = f"rprm_bench_{secrets.token_hex(4)}"
    with psycopg.connect(_DATABASE, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        url = _DATABASE.rsplit("/", 1)[0] + "/" + name
        try:
            database = Database(url)
            migrations.upgrade(database)
            database.close()
            yield url
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def own_servers() -> Iterator[tuple[Settings, Path]]:
    """Embedded servers with this version's schema, and the folder that they live in; both are gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="rprm-bench-"))
    folder.chmod(0o755)
    home = Settings(home=folder / "home")
    try:
        settings = local.ensure_services(home)
        database = Database(settings.database_url or "")
        migrations.upgrade(database)
        database.close()
        yield settings, folder
    finally:
        local.stop_services(home)
        for place in (find_paths(home.home).base, find_paths(home.home).sockets, folder):
            shutil.rmtree(place, ignore_errors=True)


def environment(database_url: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child that works with the scratch database."""
    return {**os.environ, "RPRM_DATABASE_URL": database_url, "RPRM_REDIS_URL": _REDIS, **(extra or {})}


@contextmanager
def context(database_url: str, extra: Mapping[str, str] | None = None) -> Iterator[Context]:
    """The services' context on the scratch database, with `extra` settings as in the environment."""
    urls = {"RPRM_DATABASE_URL": database_url, "RPRM_REDIS_URL": _REDIS}
    settings: Settings = load_settings({**urls, **(extra or {})})
    database = Database(database_url)
    try:
        yield Context(settings, database)
    finally:
        database.close()


def run_measured(command: Sequence[str], env: Mapping[str, str]) -> Ran:
    """Run to the end. Raises CalledProcessError; its stderr goes to ours."""
    started = time.perf_counter()
    process = subprocess.Popen(command, env=dict(env), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command), out)
    return Ran(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, out)


def machine() -> dict[str, Any]:
    """What the numbers were taken on, and how busy it was with other things."""
    return {
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "load_1min_before": round(os.getloadavg()[0], 2),
    }


def report(name: str, before: Mapping[str, Any], results: Mapping[str, Any]) -> None:
    """Print the one JSON object."""
    json.dump({"benchmark": name, "machine": dict(before), **results}, sys.stdout, indent=2)
    sys.stdout.write("\n")
