"""The embedded Postgres, run from the wheel's programs: one data folder and one server for all commands.

It listens on a Unix socket in a closed folder, and also requires a generated password.
"""

from __future__ import annotations

import shlex
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import psutil

from rprm_jobs.errors import ServiceError
from rprm_jobs.local.binaries import as_user, postgres_programs
from rprm_jobs.local.cluster import ENVIRONMENT, make_cluster
from rprm_jobs.local.lock import is_held, taken
from rprm_jobs.local.paths import Paths
from rprm_jobs.local.processes import end, process_in, processes_in, tail

_START_S = 60.0
_STOP_S = 60.0
_ORPHANS_S = 10.0
# Given at every start, so that a newer version's settings apply to an older data folder.
_SETTINGS = {
    # Only a socket in a closed folder: no other user can connect.
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    # About 60 workers with three connections each.
    "max_connections": "200",
    # Finished work survives any failure.
    "fsync": "on",
    "full_page_writes": "on",
    # A bulk load keeps the index pages that it touches in memory.
    "shared_buffers": "256MB",
    # After a checkpoint every page is logged whole again; during a bulk load that should be rare, and compressed.
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    # Statements are short; compiling them would cost more than it saves.
    "jit": "off",
}


class EmbeddedPostgres:
    """The server at these paths; one command at a time calls `ensure` and `stop` (`paths.locked`)."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._data = paths.postgres / "data"
        self._pid_file = self._data / "postmaster.pid"
        self._log = paths.postgres / "log"
        self._server_lock = paths.base / "postgres.life"
        self._password_file = paths.base / "postgres.password"

    def ensure(self) -> str:
        """The URL of the server, which is made and started if needed. Raises MissingExtra, ServiceError."""
        if not self._answers():
            programs = postgres_programs(self._paths)
            make_cluster(programs, self._paths, self._data, self._password_file)
            if self._process() is None:
                self._start(programs)
            self._wait()
        return self._url()

    def running_url(self) -> str | None:
        """The URL while the server answers, else None."""
        return self._url() if self._answers() else None

    def stop(self) -> bool:
        """Stop the server; False if it did not run. Raises ServiceError when it does not stop."""
        process = self._process()
        if process is None:
            return False
        # SIGINT is a fast shutdown: connections are cut, and workers reconnect.
        if not end([process], signal.SIGINT, wait_s=_STOP_S, kill=False):
            raise ServiceError(
                f"the embedded Postgres (process {process.pid}) has not stopped within {_STOP_S:.0f} s:"
                + tail(self._log),
                where=str(self._log),
                hint="it may still be writing to disk; try again: rprm-jobs services down",
            )
        return True

    def _url(self) -> str:
        try:
            password = self._password_file.read_text().strip()
        except FileNotFoundError:
            raise ServiceError(
                "the password file of the embedded Postgres is missing",
                where=str(self._password_file),
                hint="restore the file from a backup",
            ) from None
        return f"postgresql://postgres:{password}@/rprm?host={quote(str(self._paths.sockets), safe='/')}"

    def _process(self) -> psutil.Process | None:
        return process_in(self._data, self._pid_file)

    def _answers(self) -> bool:
        return self._process() is not None and self._readiness() == 0

    def _readiness(self) -> int:
        """The exit status of pg_isready: 0 ready, 1 starting or stopping, 2 no answer."""
        program = postgres_programs(self._paths) / "pg_isready"
        sockets = str(self._paths.sockets)
        command: list[str | Path] = [program, "-q", "-t", "3", "-h", sockets, "-p", _SETTINGS["port"]]
        return subprocess.run(command, env=ENVIRONMENT, check=False).returncode

    def _start(self, programs: Path) -> None:
        self._end_orphans()
        with taken(self._server_lock, 0) as server_lock:
            if server_lock is None:
                raise ServiceError(
                    "the embedded Postgres of this folder runs on another machine, or in another container",
                    where=str(self._data),
                    hint="use it there; or set RPRM_HOME to a folder on this machine, or RPRM_DATABASE_URL",
                )
            # No process holds the server's lock, so lock files are left from a crash. Postgres would trust their pid
            # if any process has it now: another program's, or the dead server's own that is not reaped yet.
            for stale in (self._pid_file, self._paths.sockets / f".s.PGSQL.{_SETTINGS['port']}.lock"):
                stale.unlink(missing_ok=True)
            options = [f"-c{name}={value}" for name, value in _SETTINGS.items()]
            self._pg_ctl_start(programs, ["-k", str(self._paths.sockets), *options], server_lock)

    def _pg_ctl_start(self, programs: Path, options: list[str], server_lock: int) -> None:
        # By environment and relative name: pg_ctl does not quote them well for its shell.
        environment = {**ENVIRONMENT, "PGDATA": str(self._data)}
        with tempfile.TemporaryFile() as out:
            done = subprocess.run(
                [programs / "pg_ctl", "-l", self._log.name, "-o", shlex.join(options), "-W", "start"],
                env=environment,
                cwd=self._paths.postgres,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                pass_fds=(server_lock,),
                start_new_session=True,
                umask=0o077,
                check=False,
                **as_user(self._paths),
            )
            if done.returncode:
                out.seek(0)
                raise self._failure(f"\n    {out.read().decode(errors='replace').strip()}")

    def _end_orphans(self) -> None:
        """End backends that outlive a killed postmaster: they keep its memory in use until they next wait."""
        if is_held(self._server_lock):
            end(processes_in(self._data, "postgres"), signal.SIGTERM, wait_s=_ORPHANS_S, kill=True)

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_S
        while (readiness := self._readiness()) != 0:
            if not is_held(self._server_lock):
                raise self._failure(tail(self._log))
            if time.monotonic() > deadline:
                raise self._slow(readiness)
            time.sleep(0.05)

    def _failure(self, said: str) -> ServiceError:
        return ServiceError(
            f"the embedded Postgres did not start:{said}",
            where=str(self._log),
            hint="read its log, or set RPRM_DATABASE_URL to a server of your own",
        )

    def _slow(self, readiness: int) -> ServiceError:
        if readiness == 1:
            what, hint = "is still starting, perhaps after a crash", "wait a moment, then run the command again"
        else:
            what, hint = "runs but does not answer", "stop it: rprm-jobs services down; then run the command again"
        return ServiceError(f"the embedded Postgres {what}:{tail(self._log)}", where=str(self._log), hint=hint)
