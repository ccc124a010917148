"""Where the tests get Postgres and Redis, and a database and a Redis db that nobody else uses at the same time.

A session owns a number (an advisory lock on the server, so a killed session gives it up by itself); its databases carry
the number in their names, and the next session drops what the killed one left.
"""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import redis

from rprm_jobs.errors import RprmError
from rprm_jobs.settings import Settings

_POSTGRES = "postgresql://postgres@127.0.0.1:5432/postgres"
_REDIS = "redis://127.0.0.1:6379/0"
_SESSION_LOCKS, _REDIS_LOCKS = 0x7E57, 0x7E58
_OURS = re.compile(r"rprm_test_(\d+)_\w+")
# What Celery and these tests leave in a Redis db; a db that holds anything else is somebody's and is not touched.
_TEST_KEYS = re.compile(r"rprm\.|rprm:|_kombu|unacked|celery")


class NoServers(Exception):
    """Postgres or Redis cannot be had here; the text is the reason to skip with."""


@dataclass(frozen=True)
class Servers:
    """URLs of an administrator's database and of the Redis server."""

    postgres: str
    redis: str


def find_servers(environ: Mapping[str, str], home: Path) -> Servers:
    """External servers on the loopback when they answer, else the embedded ones in `home`. Raises NoServers."""
    wanted = environ.get("RPRM_TEST_SERVERS", "")
    if wanted not in ("", "external", "embedded"):
        raise NoServers(f"RPRM_TEST_SERVERS={wanted!r} is neither external nor embedded")
    if wanted != "embedded":
        problem = _external_problem()
        if problem is None:
            return Servers(_POSTGRES, _REDIS)
        if wanted == "external":
            raise NoServers(problem)
    return _embedded(home)


def _external_problem() -> str | None:
    try:
        psycopg.connect(_POSTGRES, connect_timeout=3).close()
        with redis.Redis.from_url(_REDIS, socket_connect_timeout=3) as client:
            client.ping()
    except (psycopg.Error, redis.RedisError, OSError) as error:
        return f"no server on the loopback: {error}"
    return None


def _embedded(home: Path) -> Servers:
    try:
        from rprm_jobs.local import ensure_services
    except ImportError as error:
        raise NoServers(f"the embedded servers are not installed: {error}") from error
    try:
        settings = ensure_services(Settings(home=home))
    except RprmError as error:
        raise NoServers(f"the embedded servers do not start: {error}") from error
    if not settings.database_url or not settings.redis_url:
        raise NoServers("the embedded servers gave no URLs")
    return Servers(settings.database_url, settings.redis_url)


def stop_embedded(home: Path) -> None:
    """Stop the embedded servers in `home`, if they were started, and remove what they kept outside of it."""
    from rprm_jobs.local import stop_services
    from rprm_jobs.local.paths import find_paths

    stop_services(Settings(home=home))
    paths = find_paths(home)
    for folder in (paths.base, paths.sockets):
        shutil.rmtree(folder, ignore_errors=True)


def with_path(url: str, path: str) -> str:
    """`url` with another database name, or another Redis db number."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{path}"))


class Session:
    """One test session's share of the servers: databases `rprm_test_N_*`, and one Redis db."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self._admin: psycopg.Connection[Any] = psycopg.connect(servers.postgres, autocommit=True)
        self._created = 0
        self.number = self._own_number()
        self._drop_left_over()
        self.redis_url = with_path(servers.redis, str(self._own_redis_db()))

    def _try_lock(self, space: int, number: int) -> bool:
        row = self._admin.execute("SELECT pg_try_advisory_lock(%s, %s)", (space, number)).fetchone()
        return bool(row and row[0])

    def _own_number(self) -> int:
        while not self._try_lock(_SESSION_LOCKS, number := random.SystemRandom().randrange(1, 2**31)):
            pass
        return number

    def _drop_left_over(self) -> None:
        names = [row[0] for row in self._admin.execute("SELECT datname FROM pg_database")]
        for name in names:
            session = _OURS.fullmatch(name)
            if session and int(session[1]) != self.number and self._try_lock(_SESSION_LOCKS, int(session[1])):
                self.drop(name)
                self._admin.execute("SELECT pg_advisory_unlock(%s, %s)", (_SESSION_LOCKS, int(session[1])))

    def _own_redis_db(self) -> int:
        for number in range(15, 0, -1):
            if self._try_lock(_REDIS_LOCKS, number):
                if _holds_only_test_keys(with_path(self.servers.redis, str(number))):
                    return number
                self._admin.execute("SELECT pg_advisory_unlock(%s, %s)", (_REDIS_LOCKS, number))
        raise NoServers("every Redis db from 1 to 15 is in use")

    def create(self, *, template: str | None = None, label: str = "db") -> str:
        """Make a database, a copy of `template` when one is given; returns its name."""
        self._created += 1
        name = f"rprm_test_{self.number}_{label}{self._created}"
        self._admin.execute(f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{template}"' if template else ""))
        # Only a crash of the server could tell the difference, and it saves a wait for the disk at every commit.
        self._admin.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
        return name

    def drop(self, name: str) -> None:
        """Remove a database, with whoever is still connected to it.

        At once, not later: a drop ends in a checkpoint, which is cheap only while no other new database is unwritten.
        """
        self._admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def url(self, name: str) -> str:
        """The URL of one of this session's databases."""
        return with_path(self.servers.postgres, name)

    def close(self) -> None:
        """Drop what is left and give up the number."""
        try:
            self._drop_own()
        finally:
            self._admin.close()

    def _drop_own(self) -> None:
        rows = self._admin.execute("SELECT datname FROM pg_database").fetchall()
        for (name,) in rows:
            if name.startswith(f"rprm_test_{self.number}_"):
                self.drop(name)


def _holds_only_test_keys(url: str) -> bool:
    with redis.Redis.from_url(url) as client:
        keys = [key.decode(errors="replace") for key in client.keys("*")]
        return all(_TEST_KEYS.match(key) for key in keys)


def flush(redis_url: str) -> None:
    """Empty this one Redis db."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()


# Short enough that a lapsed lease costs a test seconds; long enough that a busy machine does not lapse one by itself.
QUICK = {
    "RPRM_LEASE_S": "5",
    "RPRM_RENEW_S": "0.5",
    "RPRM_SWEEP_S": "0.5",
    "RPRM_RECORD_S": "0.3",
    "RPRM_GRACE_S": "5",
}


def quick(settings: Settings) -> Settings:
    """`settings` with the times of QUICK."""
    times = {name.removeprefix("RPRM_").lower(): float(value) for name, value in QUICK.items()}
    return replace(settings, **times)  # type: ignore[arg-type]


def subprocess_env(settings: Settings, **more: str) -> dict[str, str]:
    """The environment of a process on these servers, with the times of QUICK and none of the user's own settings."""
    root = str(Path(__file__).parents[2])
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RPRM_")}
    return {
        **inherited,
        "PYTHONPATH": root,
        "RPRM_HOME": str(settings.home),
        "RPRM_DATABASE_URL": settings.database_url or "",
        "RPRM_REDIS_URL": settings.redis_url or "",
        **QUICK,
        **more,
    }
