"""`rprm-jobs serve` begins and ends: stopped at any moment without a word more, and what it cannot serve on is said."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest

from tests.support.command_line import Cli
from tests.support.service import free_port

pytestmark = pytest.mark.acceptance


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_at_the_very_moment_when_it_serves(cli: Cli, number: signal.Signals) -> None:
    serving = cli.start("serve", "--port", str(free_port()))
    assert serving.stderr
    said = serving.stderr.readline()
    assert said.startswith("serving on http://127.0.0.1:")
    serving.send_signal(number)
    assert serving.wait(60) == 0
    assert serving.stderr.read() == ""


def test_it_answers_when_it_says_that_it_serves(cli: Cli) -> None:
    port = free_port()
    serving = cli.start("serve", "--port", str(port))
    assert serving.stderr
    serving.stderr.readline()
    socket.create_connection(("127.0.0.1", port), 5).close()


def test_a_port_that_another_program_has(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = cli("serve", "--port", str(port), code=2).stderr
    assert said == (
        f"error: it cannot listen on 127.0.0.1:{port}: Address already in use\n"
        "  hint: choose another --port, or stop what serves there\n"
    )


def test_an_address_that_the_machine_lacks(cli: Cli) -> None:
    cli("token", "create", "root", "--scope", "admin")
    said = cli("serve", "--port", str(free_port()), "--host", "192.0.2.1", code=2).stderr
    assert "Cannot assign requested address" in said
    assert said.endswith("hint: choose an address with --host\n")


def test_a_certificate_that_is_not_there_or_none(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    for name in ("none.pem", "empty.pem"):
        said = cli("serve", "--tls-cert", name, "--tls-key", name, code=2).stderr
        assert said.startswith(f"error: {name}, {name}: the certificate and its key cannot be used: ")
        assert "serving on" not in said
