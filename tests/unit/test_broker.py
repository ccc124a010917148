"""The queue's settings, each of which protects from a known trap, and the refusal of what is no Redis URL."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rprm_jobs.broker import Notifier, make_app
from rprm_jobs.errors import BrokerError, ConfigError

URL = "redis://127.0.0.1:6379/15"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("task_acks_late", False),
        ("worker_disable_prefetch", True),
        ("task_ignore_result", True),
        ("result_backend", None),
        ("task_serializer", "json"),
        ("accept_content", ["json"]),
        ("task_time_limit", None),
        ("worker_enable_remote_control", False),
        ("worker_send_task_events", False),
        ("broker_connection_retry_on_startup", True),
        ("broker_connection_max_retries", None),
        ("broker_url", URL),
    ],
)
def test_a_setting_that_protects(name: str, value: object) -> None:
    assert make_app(URL).conf[name] == value


def test_no_call_to_redis_waits_for_the_kernels_minutes() -> None:
    options: dict[str, Any] = make_app(URL).conf.broker_transport_options
    assert options["socket_timeout"] <= 10
    assert options["socket_connect_timeout"] <= 5
    assert options["health_check_interval"] <= 10
    assert options["socket_keepalive"] is True


def test_applications_share_nothing() -> None:
    assert make_app(URL).conf is not make_app("redis://127.0.0.1/1").conf


@pytest.mark.parametrize(
    "url", ["amqp://u:secret@h", "h:6379", "redis:/h", "redis://:pa#ss@h:6379/0", "redis://h:port/0", "redis://h/db"]
)
def test_what_is_no_redis_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError, match="RPRM_REDIS_URL") as caught:
        Notifier(url)
    text = f"{caught.value} {caught.value.__cause__ or ''}"
    assert "secret" not in text
    assert "pa#ss" not in text


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield int(server.getsockname()[1])


def _assert_broker_error(call: Callable[[], object], *, within: float) -> None:
    began = time.monotonic()
    with pytest.raises(BrokerError, match="Redis") as caught:
        call()
    assert time.monotonic() - began < within
    assert "secret" not in str(caught.value)
    assert "doctor" in caught.value.hint


def test_a_redis_that_is_away_is_a_broker_error_at_once() -> None:
    notifier = Notifier("redis://:secret@127.0.0.1:1/0")
    _assert_broker_error(lambda: notifier.depth("q"), within=2)
    _assert_broker_error(notifier.ping, within=2)
    _assert_broker_error(lambda: notifier.notify("q", [1]), within=2)
    notifier.close()


@pytest.mark.slow
def test_a_redis_that_is_silent_is_a_broker_error_in_seconds(silent_port: int) -> None:
    notifier = Notifier(f"redis://:secret@127.0.0.1:{silent_port}/0")
    _assert_broker_error(lambda: notifier.depth("q"), within=8)
    _assert_broker_error(lambda: notifier.notify("q", [1]), within=15)
    notifier.close()


# What Redis, its managed kinds and what stands before it answer to every command.
ANSWERS = {
    "a replica after a failover": b"-READONLY You can't write against a read only replica.\r\n",
    "starting": b"-LOADING Redis is loading the dataset in memory\r\n",
    "a disk that is full": b"-MISCONF Redis is configured to save RDB snapshots, but is unable to persist to disk.\r\n",
    "memory that is full": b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
    "a password that is missing": b"-NOAUTH Authentication required.\r\n",
    "rights that are missing": b"-NOPERM this user has no permissions to run the 'lpush' command\r\n",
    "a cluster": b"-MOVED 3999 127.0.0.1:1\r\n",
    "too many clients": b"-ERR max number of clients reached\r\n",
    "a server of another kind": b"HTTP/1.1 400 Bad Request\r\n\r\n",
}


@pytest.fixture
def answering(request: pytest.FixtureRequest) -> Iterator[int]:
    """A port whose server has one answer to everything."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while self.request.recv(65536):
                self.request.sendall(request.param)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that hangs up is no news."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield int(server.server_address[1])
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("answering", ANSWERS.values(), ids=ANSWERS.keys(), indirect=True)
def test_whatever_a_server_answers_is_a_broker_error_in_time(answering: int) -> None:
    notifier = Notifier(f"redis://:secret@127.0.0.1:{answering}/0")
    try:
        for call in (lambda: notifier.depth("q"), notifier.ping, lambda: notifier.notify("q", [1])):
            _assert_broker_error(call, within=2)
    finally:
        notifier.close()
