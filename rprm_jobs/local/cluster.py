"""Makes the data folder of the embedded Postgres: under another name first, then renamed into its place.

A folder in its place is therefore complete, even if the command that made it died.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from pathlib import Path

from rprm_jobs.errors import ServiceError
from rprm_jobs.local.binaries import POSTGRES_MAJOR, as_user
from rprm_jobs.local.paths import Paths
from rprm_jobs.local.processes import write_closed

# Nothing from the user's environment: PG* variables and locales would change what the programs do.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}


def make_cluster(programs: Path, paths: Paths, data: Path, password_file: Path) -> None:
    """Make `data` with an empty database `rprm`, unless it exists. Raises ServiceError when it cannot be used."""
    if data.exists():
        _check_version(data)
        return
    for wreck in paths.postgres.glob("making-*"):
        shutil.rmtree(wreck, ignore_errors=True)
    making = paths.postgres / f"making-{secrets.token_hex(4)}"
    password = secrets.token_urlsafe(24)
    write_closed(password_file, password)
    _initdb(programs, paths, making, password)
    # In single-user mode, so that no one can use the folder before it has the database.
    _run(paths, [programs / "postgres", "--single", "-c", "exit_on_error=on", "-D", making, "postgres"],
         "CREATE DATABASE rprm")  # fmt: skip
    making.rename(data)
    folder = os.open(paths.postgres, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def _check_version(data: Path) -> None:
    try:
        version = (data / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        raise ServiceError(
            "is not a data folder of Postgres", where=str(data), hint=f"move it away: mv {data} {data}.old"
        ) from None
    if version != str(POSTGRES_MAJOR):
        raise ServiceError(
            f"the data is from Postgres {version}; the embedded server is Postgres {POSTGRES_MAJOR}",
            where=str(data),
            hint="dump it with the version that made it, move the folder away, and restore the dump",
        )


def _initdb(programs: Path, paths: Paths, making: Path, password: str) -> None:
    # A file that Postgres's user can read, because all users can read a process's arguments.
    handed = paths.postgres / "new-password"
    write_closed(handed, password)
    try:
        if paths.user:
            os.chown(handed, paths.user.pw_uid, -1, follow_symlinks=False)
        # The built-in locale sorts the same on every machine, and no locale need be installed.
        _run(paths, [programs / "initdb", "-D", making, "-U", "postgres", "--auth=scram-sha-256",
                      f"--pwfile={handed}", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin",
                      "--builtin-locale=C.UTF-8"])  # fmt: skip
    finally:
        handed.unlink()


def _run(paths: Paths, command: list[str | Path], text: str = "") -> None:
    done = subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        errors="replace",
        env=ENVIRONMENT,
        cwd=paths.postgres,
        umask=0o077,
        check=False,
        # Ctrl-C then reaches only the command, which leaves nothing behind.
        start_new_session=True,
        **as_user(paths),
    )
    if done.returncode:
        said = (done.stderr + done.stdout).strip().splitlines()[-5:]
        raise ServiceError(
            f"{Path(command[0]).name} failed:" + "\n    ".join(["", *said]),
            where=str(paths.postgres),
            hint="set RPRM_HOME to another folder, or RPRM_DATABASE_URL to a server of your own",
        )
