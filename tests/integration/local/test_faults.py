"""The embedded servers come back from crashes with what was committed, and are never started twice on one folder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress

import psycopg
import pytest

from rprm_jobs import local
from rprm_jobs.broker import Notifier
from rprm_jobs.errors import ServiceError
from rprm_jobs.local.lock import taken
from rprm_jobs.local.paths import find_paths
from rprm_jobs.settings import Settings
from tests.integration.local.conftest import ask

pytestmark = pytest.mark.integration


def postgres_pid(settings: Settings) -> int:
    return int((find_paths(settings.home).postgres / "data" / "postmaster.pid").read_text().split()[0])


def redis_pid(settings: Settings) -> int:
    return int((find_paths(settings.home).base / "redis.pid").read_text())


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_killed_postgres_comes_back_with_its_data_though_a_backend_outlives_it(running: Settings) -> None:
    ask(running, "CREATE TABLE kept AS SELECT 42 AS n")
    # A backend in the middle of a calculation does not look whether its postmaster lives.
    busy = psycopg.connect(running.database_url or "")
    query = "SELECT sum(a.n % 7) FROM generate_series(1, 20000) a(n), generate_series(1, 20000) b(n)"
    thread = threading.Thread(target=lambda: _swallow(busy, query))
    thread.start()
    wait_until(lambda: ask(running, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT sum%'") == 1)
    os.kill(postgres_pid(running), signal.SIGKILL)
    again = local.ensure_services(running_none(running))
    assert ask(again, "SELECT n FROM kept") == 42
    assert again.database_url == running.database_url
    thread.join(timeout=20)
    busy.close()
    assert not thread.is_alive()


def _swallow(connection: psycopg.Connection[tuple[object, ...]], query: str) -> None:
    with suppress(psycopg.Error):
        connection.execute(query.encode())


def running_none(settings: Settings) -> Settings:
    """The same home, with nothing configured."""
    return Settings(home=settings.home)


def test_a_killed_redis_comes_back_at_its_old_url(running: Settings) -> None:
    os.kill(redis_pid(running), signal.SIGKILL)
    assert local.ensure_services(running_none(running)).redis_url == running.redis_url
    with closing(Notifier(running.redis_url or "")) as notifier:
        assert notifier.ping()


def test_a_frozen_redis_is_replaced(running: Settings) -> None:
    frozen = redis_pid(running)
    os.kill(frozen, signal.SIGSTOP)
    assert local.services_status(running_none(running))[1].running is False
    again = local.ensure_services(running_none(running))
    assert redis_pid(running) != frozen
    with closing(Notifier(again.redis_url or "")) as notifier:
        assert notifier.ping()


def test_a_redis_that_is_slow_to_start_is_not_taken_for_another_machines(
    running: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.kill(redis_pid(running), signal.SIGKILL)
    with monkeypatch.context() as patch:
        patch.setattr("rprm_jobs.local.redis._START_S", 0.0)
        with pytest.raises(ServiceError, match="the embedded Redis did not start"):
            local.ensure_services(running_none(running))
    again = local.ensure_services(running_none(running))
    with closing(Notifier(again.redis_url or "")) as notifier:
        assert notifier.ping()


def test_a_stranger_on_the_redis_port_gets_neither_the_password_nor_in_the_way(running: Settings) -> None:
    port = int((running.redis_url or "").split(":")[-1].split("/")[0])
    local.stop_services(running)
    with socket.create_server(("127.0.0.1", port)) as stranger:
        stranger.settimeout(0.2)
        again = local.ensure_services(running_none(running))
        assert again.redis_url != running.redis_url
        with pytest.raises(TimeoutError):
            stranger.accept()


def test_pid_files_from_before_a_restart_of_the_machine_are_seen_through(running: Settings) -> None:
    paths = find_paths(running.home)
    lock_files = [paths.postgres / "data" / "postmaster.pid", paths.sockets / ".s.PGSQL.5432.lock"]
    bodies = [lock_file.read_text().splitlines() for lock_file in lock_files]
    local.stop_services(running)
    # A stranger of the same user with the old number, which Postgres by itself takes for its own server.
    identity = {"user": paths.user.pw_uid} if paths.user else {}
    stranger = subprocess.Popen(["sleep", "60"], **identity)  # type: ignore[call-overload]
    try:
        for lock_file, body in zip(lock_files, bodies, strict=True):
            lock_file.write_text("\n".join([str(stranger.pid), *body[1:]]) + "\n")
        (paths.base / "redis.pid").write_text(f"{stranger.pid}\n")
        assert [row.running for row in local.services_status(running_none(running))] == [False, False]
        again = local.ensure_services(running_none(running))
        assert ask(again, "SELECT 1") == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_server_that_another_machine_holds_is_not_started_here(running: Settings) -> None:
    local.stop_services(running)
    base = find_paths(running.home).base
    for name, url in (("Postgres", "RPRM_DATABASE_URL"), ("Redis", "RPRM_REDIS_URL")):
        only = Settings(home=running.home, database_url="postgresql://127.0.0.1:1/x" if name == "Redis" else None)
        with (
            taken(base / f"{name.lower()}.life", 0),
            pytest.raises(ServiceError, match=rf"(?s)embedded {name} .* another machine.*{url}"),
        ):
            local.ensure_services(only)


def test_a_server_that_does_not_start_is_quoted(running: Settings) -> None:
    local.stop_services(running)
    configuration = find_paths(running.home).postgres / "data" / "postgresql.conf"
    good = configuration.read_text()
    configuration.write_text(good + "no_such_setting = 1\n")
    try:
        with pytest.raises(ServiceError, match=r"(?s)did not start.*no_such_setting") as caught:
            local.ensure_services(running_none(running))
    finally:
        configuration.write_text(good)
    assert caught.value.where == str(find_paths(running.home).postgres / "log")
    assert caught.value.hint


def test_a_postgres_that_is_still_replaying_is_waited_for(running: Settings) -> None:
    """Another command died while the server was starting: the next one waits instead of starting a second."""
    before = postgres_pid(running)
    os.kill(before, signal.SIGSTOP)
    timer = threading.Timer(1.0, os.kill, (before, signal.SIGCONT))
    timer.start()
    try:
        assert ask(local.ensure_services(running_none(running)), "SELECT 1") == 1
    finally:
        timer.join()
    assert postgres_pid(running) == before
