"""A real PgBouncer for tests: in a folder of its own, on a free port, as another user where the tests run as root."""

from __future__ import annotations

import contextlib
import getpass
import os
import pwd
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

import psycopg

from tests.support.jobs import wait_for
from tests.support.proxy import Address, address_of, url_at

# Where Debian and Homebrew put it; it need not be on the PATH of an ordinary user.
_PLACES = "/usr/sbin:/usr/local/sbin:/opt/homebrew/bin"
Mode = Literal["transaction", "session"]


def find_pgbouncer() -> str | None:
    """The program, None where it is not installed."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:{_PLACES}")


class PgBouncer:
    """One pooler before the server of `url`, for all of its databases; `url` of this object leads through it."""

    def __init__(self, program: str, folder: Path, url: str, *, mode: Mode = "transaction", pool_size: int = 4) -> None:
        self.program, self._folder = program, folder
        self._folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = url_at(url, self.port)
        self._user = _user_beside(address_of(url))
        self._write(url, mode, pool_size)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def _write(self, url: str, mode: Mode, pool_size: int) -> None:
        parts, address = urlsplit(url), address_of(url)
        host, port = (str(Path(address).parent), parts.port or 5432) if isinstance(address, str) else address
        user, password = parts.username or "postgres", unquote(parts.password or "")
        users = self._folder / "users.txt"
        users.write_text(f'"{user}" "{password}"\n')
        # The rest is PgBouncer's default, so that what it refuses is refused here.
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "plain" if password else "any",
            "auth_file": users,
            "pool_mode": mode,
            "default_pool_size": pool_size,
            "logfile": self._folder / "pgbouncer.log",
        }
        server = f"host={host} port={port}" + ("" if password else f" user={user}")
        lines = ["[databases]", f"* = {server}", "[pgbouncer]", *(f"{k} = {v}" for k, v in settings.items())]
        (self._folder / "pgbouncer.ini").write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(
            [*self._as_user(), self.program, str(self._folder / "pgbouncer.ini")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            wait_for(self._answers, within=10, what=lambda: f"PgBouncer answers\n{self.log()}")
        except BaseException:
            self.stop(signal.SIGKILL)
            raise

    def _as_user(self) -> list[str]:
        if self._user is None:
            return []
        # It needs to read its folder and write its log.
        user = self._user
        for folder in (self._folder, *self._folder.parents):
            if folder.owner() == getpass.getuser() and folder.stat().st_mode & 0o001 == 0:
                folder.chmod(folder.stat().st_mode | 0o011)
        for path in (self._folder, *self._folder.iterdir()):
            shutil.chown(path, user)
        # With the user's own groups: one of them may be what opens the way to the server's socket.
        return ["setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--init-groups", "--"]

    def _answers(self) -> bool:
        with contextlib.suppress(psycopg.Error):
            psycopg.connect(self.url, connect_timeout=3).close()
            return True
        return False

    def log(self) -> str:
        """What it has said so far."""
        path = self._folder / "pgbouncer.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it at once, with all its connections."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(10)
            self._process = None

    def restart(self) -> None:
        """End it at once and start it again on the same port."""
        self.stop(signal.SIGKILL)
        self.start()


def _user_beside(address: Address) -> str | None:
    """Whom PgBouncer runs as, None for ourselves: it refuses to run as root, and has to reach the server's socket."""
    if os.geteuid() != 0:
        return None
    if isinstance(address, str) and (owner := Path(address).parent.owner()) != "root":
        return owner
    return next(name for name in ("postgres", "nobody") if _exists(name))


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
