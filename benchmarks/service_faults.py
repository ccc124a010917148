"""What strikes the service under load: restarts of everything behind and beside it, and clients that behave badly."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack

import psutil

from benchmarks.service_processes import Processes
from rprm_jobs import local
from rprm_jobs.local.paths import find_paths
from rprm_jobs.settings import Settings

_BAD_S = 6.0


def faults_of(processes: Processes) -> dict[str, Callable[[], object]]:
    """By name; each strikes once and is undone, with the help of `Processes.tend`."""
    home, port = processes.settings.home, processes.port
    return {
        "service asked to stop": lambda: processes.running["service"].terminate(),
        "service killed": lambda: processes.running["service"].kill(),
        "worker killed": lambda: processes.running["worker"].kill(),
        "worker asked to stop": lambda: processes.running["worker"].terminate(),
        "redis killed": lambda: _down(home, int((find_paths(home).base / "redis.pid").read_text()), signal.SIGKILL),
        "postgres restarted": lambda: _down(home, _postgres(home), signal.SIGQUIT),
        "slow readers": lambda: _hold(port, b"GET /v1/openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 100),
        "endless bodies": lambda: _pour(port),
        "clients that vanish": lambda: _vanish(port),
        "flood of bad tokens": lambda: _flood(port),
    }


def _postgres(home: object) -> int:
    return int((find_paths(home).postgres / "data" / "postmaster.pid").read_text().split()[0])  # type: ignore[arg-type]


def _down(home: object, pid: int, how: signal.Signals) -> None:
    process = psutil.Process(pid)
    os.kill(pid, how)
    psutil.wait_procs([process], timeout=20)
    time.sleep(0.5)
    local.ensure_services(Settings(home=home))  # type: ignore[arg-type]


def _open(port: int) -> socket.socket:
    opened = socket.create_connection(("127.0.0.1", port), timeout=5)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    return opened


def _hold(port: int, request: bytes, count: int) -> None:
    """Connections that ask and do not read."""
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(_open(port)).sendall(request)
        time.sleep(_BAD_S)


def _pour(port: int) -> None:
    """Bodies that say nothing of their length and do not end."""
    head = b"POST /reward HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    until = time.monotonic() + _BAD_S
    while time.monotonic() < until:
        with _open(port) as opened:
            try:
                opened.sendall(head)
                while time.monotonic() < until:
                    opened.sendall(piece)
            except OSError:
                # The service has hung up, as it should.
                continue


def _vanish(port: int) -> None:
    """Half a request, a whole one whose answer nobody waits for, and nothing at all."""
    body = b'{"problem": "p", "steps": ["a"]}'
    whole = b"POST /reward?judge=scripted&k=1&run=vanished HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%s"
    request = whole % (len(body), body)
    for number in range(300):
        with _open(port) as opened:
            opened.sendall(request[: len(request) * (number % 3) // 2])


def _flood(port: int) -> None:
    """Requests with tokens that nobody made, over a few connections, as fast as they are answered."""
    request = b"GET /v1/jobs HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer rprm_%d\r\n\r\n"
    until, number = time.monotonic() + _BAD_S, 0
    while time.monotonic() < until:
        with _open(port) as opened:
            for _ in range(50):
                number += 1
                opened.sendall(request % number)
                if not opened.recv(65536):
                    break
