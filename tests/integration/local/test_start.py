"""The embedded servers are shared, closed to others, outlive who started them, and stop when told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from kombu import Connection

from rprm_jobs import local
from rprm_jobs.broker import Notifier
from rprm_jobs.errors import MissingExtra
from rprm_jobs.local import binaries
from rprm_jobs.local.lock import is_held
from rprm_jobs.local.paths import find_paths
from rprm_jobs.settings import Settings
from tests.integration.local.conftest import ask

pytestmark = pytest.mark.integration

_STARTER = """
import sys, time
from pathlib import Path
from rprm_jobs.local import ensure_services
from rprm_jobs.settings import Settings
found = ensure_services(Settings(home=Path(sys.argv[1])))
print(found.database_url, found.redis_url, flush=True)
time.sleep(600)
"""


def starter(settings: Settings) -> subprocess.Popen[str]:
    """A process that ensures the servers, prints their URLs, and waits to be killed."""
    command = [sys.executable, "-c", _STARTER, str(settings.home)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def kill(process: subprocess.Popen[str]) -> None:
    """Kill the process and its whole group, as a closing terminal or a batch system does."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def read_urls(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.readline().split()


def test_a_starter_killed_while_it_makes_the_data_folder_leaves_no_half_made_one(shared: Settings) -> None:
    process = starter(shared)
    data = find_paths(shared.home).postgres
    deadline = time.monotonic() + 60
    # The version file is among the first that Postgres writes, long before the folder is complete.
    while not list(data.glob("*/PG_VERSION")) and time.monotonic() < deadline:
        time.sleep(0.005)
    kill(process)
    assert not (data / "data").exists()
    assert ask(local.ensure_services(shared), "SELECT current_database()") == "rprm"
    assert local.stop_services(shared) == ["redis", "postgres"]


def test_two_starters_at_once_share_servers_that_outlive_them(shared: Settings) -> None:
    processes = [starter(shared), starter(shared)]
    first, second = [read_urls(process) for process in processes]
    for process in processes:
        kill(process)
    assert len(first) == 2
    assert first == second
    found = local.ensure_services(shared)
    assert [found.database_url, found.redis_url] == first
    assert ask(found, "SELECT 1") == 1
    assert Notifier(found.redis_url or "").ping().startswith("6.2")


def test_one_redis_url_serves_celery_too(running: Settings) -> None:
    with Connection(running.redis_url) as connection:
        connection.ensure_connection(max_retries=1)


def test_nothing_is_open_to_other_users(running: Settings) -> None:
    assert ask(running, "SHOW listen_addresses") == ""
    assert ask(running, "SHOW fsync") == "on"
    paths = find_paths(running.home)
    for folder in (paths.home, paths.base, paths.postgres, paths.sockets):
        assert folder.stat().st_mode & 0o007 == 0, folder
    files = [path for path in paths.base.iterdir() if path.is_file()]
    assert {path.name for path in files} > {"postgres.password", "redis.json", "redis.conf"}
    assert [path.name for path in files if path.stat().st_mode & 0o077] == []
    listening = [c.laddr for c in redis_process(running).net_connections() if c.status == psutil.CONN_LISTEN]
    assert {address.ip for address in listening} == {"127.0.0.1"}


def test_no_password_is_in_a_process_list_or_a_status(running: Settings) -> None:
    passwords = [
        (url or "").split("://")[1].split("@")[0].split(":")[1] for url in local.running_urls(running).values()
    ]
    assert all(len(password) > 30 for password in passwords)
    shown = " ".join(
        [str(process.info["cmdline"]) for process in psutil.process_iter(["cmdline"])]
        + [row.where for row in local.services_status(running)]
    )
    assert [password for password in passwords if password in shown] == []


def test_passwords_are_asked_for(running: Settings) -> None:
    import psycopg
    import redis

    url = running.database_url or ""
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(url.replace(url.split("@")[0], "postgresql://postgres:wrong"))
    with (
        redis.Redis.from_url(f"redis://127.0.0.1:{(running.redis_url or '').split(':')[-1]}") as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_status_starts_nothing_and_stop_leaves_nothing(shared: Settings) -> None:
    local.ensure_services(shared)
    assert [(row.name, row.kind, row.running) for row in local.services_status(shared)] == [
        ("postgres", "embedded", True),
        ("redis", "embedded", True),
    ]
    assert local.stop_services(shared) == ["redis", "postgres"]
    base = find_paths(shared.home).base
    # Every process of a server holds its lock until it ends.
    assert not is_held(base / "postgres.life")
    assert not is_held(base / "redis.life")
    assert [(row.running, row.where) for row in local.services_status(shared)] == [(False, str(base))] * 2
    assert local.stop_services(shared) == []


def test_a_home_without_servers_is_left_empty(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "none")
    assert local.stop_services(settings) == []
    assert [row.running for row in local.services_status(settings)] == [False, False]
    assert not settings.home.exists()


def test_configured_servers_are_left_alone_and_asked(database_url: str, tmp_path: Path) -> None:
    mine = Settings(home=tmp_path / "none", database_url=database_url, redis_url="redis://:secret@127.0.0.1:1/0")
    assert local.ensure_services(mine) == mine
    assert [(row.kind, row.running) for row in local.services_status(mine)] == [
        ("configured", True),
        ("configured", False),
    ]
    assert "secret" not in str(local.services_status(mine))
    assert not mine.home.exists()


def test_without_the_wheels_the_message_names_the_extra(shared: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    local.stop_services(shared)
    monkeypatch.setattr(binaries, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"pip install 'rprm-jobs\[local\]', or set RPRM_DATABASE_URL"):
        local.ensure_services(shared)
    with pytest.raises(MissingExtra, match=r"or set RPRM_REDIS_URL"):
        local.ensure_services(Settings(home=shared.home, database_url="postgresql://127.0.0.1:1/x"))


def redis_process(settings: Settings) -> psutil.Process:
    return psutil.Process(int((find_paths(settings.home).base / "redis.pid").read_text()))
