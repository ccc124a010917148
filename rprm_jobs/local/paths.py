"""Where the embedded servers keep their files, which user Postgres runs as, and the lock for starting and stopping.

Postgres refuses to run as root. Started by root, it runs as an unprivileged user: in the home if that user can enter
it, else in /var/lib, with a link in the home. Root neither follows nor trusts links that this user owns.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rprm_jobs.errors import ServiceError
from rprm_jobs.local.lock import taken

ROOT_BASE = Path("/var/lib/rprm-jobs")
# Not $TMPDIR, which may differ between commands that must find the same server, and not $XDG_RUNTIME_DIR, which is
# emptied at logout while the servers keep running.
_SHORT_BASE = Path("/tmp")
# A Unix socket's path has at most 107 bytes, of which `/.s.PGSQL.5432` takes 14; and libpq reads a comma as a list.
_SOCKET_FOLDER = re.compile(r"/[\w./ -]{1,89}", re.ASCII)
_LOCK_S = 180.0


@dataclass(frozen=True, slots=True)
class Paths:
    """`base` belongs to us; `postgres` in it belongs to the `user` that Postgres runs as (None: ourselves)."""

    home: Path
    base: Path
    sockets: Path
    user: pwd.struct_passwd | None

    @property
    def postgres(self) -> Path:
        return self.base / "postgres"

    def make(self) -> None:
        """Create the folders, closed to other users. Raises ServiceError when that is not possible or not safe."""
        with _explained(self.home):
            if self.base.parent == ROOT_BASE:
                ROOT_BASE.mkdir(mode=0o755, exist_ok=True)
                link = self.home / "embedded"
                if not link.is_symlink():
                    link.symlink_to(self.base)
            # Postgres's user may pass through `base` (by its group) but not list it.
            _own_folder(self.base, None, 0o710 if self.user else 0o700)
            if self.user:
                os.chown(self.base, 0, self.user.pw_gid)
            for folder in dict.fromkeys((self.postgres, self.sockets)):
                _own_folder(folder, self.user, 0o700)


def find_paths(home: Path) -> Paths:
    """The paths for this home; makes nothing.

    Raises ServiceError for a home that is no folder, or if root has no unprivileged user to run Postgres.
    """
    if home.exists() and not home.is_dir():
        raise ServiceError("is not a folder", where=str(home), hint="set RPRM_HOME to a folder that you can write")
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    user = None
    base = home / "embedded"
    if os.geteuid() == 0:
        user = _unprivileged(base / "postgres")
        if not base.exists() and not base.is_symlink() and not _may_enter(home, user):
            base = ROOT_BASE / digest
    if base.is_symlink():
        base = base.resolve()
    sockets = base / "postgres"
    if not _SOCKET_FOLDER.fullmatch(str(sockets)):
        sockets = _SHORT_BASE / f"rprm-{user.pw_uid if user else os.geteuid()}-{digest}"
    return Paths(home, base, sockets, user)


@contextmanager
def locked(home: Path) -> Iterator[Paths]:
    """The paths, made, for one command at a time. Raises ServiceError."""
    with ExitStack() as stack:
        with _explained(home):
            _make_home(home)
            lock = stack.enter_context(taken(home / "embedded.lock", _LOCK_S))
        if lock is None:
            raise ServiceError(
                f"another command has been starting or stopping the servers for {_LOCK_S:.0f} s",
                where=str(home / "embedded.lock"),
                hint="end that command (`fuser` with this file names it), then try again",
            )
        paths = find_paths(home)
        paths.make()
        yield paths


def _make_home(home: Path) -> None:
    """Make the home if it does not exist. An existing one keeps its owner and mode: it may hold other things."""
    home.parent.mkdir(parents=True, exist_ok=True)
    user = _unprivileged(home / "embedded" / "postgres") if os.geteuid() == 0 else None
    enters = user is not None and _may_enter(home.parent, user)
    try:
        home.mkdir(mode=0o710 if enters else 0o700)
    except FileExistsError:
        return
    if user is not None and enters:
        os.chown(home, 0, user.pw_gid)


def _own_folder(folder: Path, user: pwd.struct_passwd | None, mode: int) -> None:
    """Make `folder`, or check that the existing one belongs to that user: anyone can make a name in /tmp."""
    owner = user.pw_uid if user else os.geteuid()
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    info = folder.lstat()
    # One that is still ours was left by a command that died before it changed the owner.
    if not stat.S_ISDIR(info.st_mode) or info.st_uid not in (owner, os.geteuid()):
        raise ServiceError(
            f"is not a folder of user {owner} (its owner is {info.st_uid})",
            where=str(folder),
            hint="run as the user who made it, or set RPRM_HOME to another folder",
        )
    folder.chmod(mode)
    if info.st_uid != owner:
        os.chown(folder, owner, -1)


def _may_enter(folder: Path, user: pwd.struct_passwd) -> bool:
    return all(_passes(place, user) for place in [folder, *folder.resolve().parents])


def _passes(folder: Path, user: pwd.struct_passwd) -> bool:
    try:
        info = folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        # It does not exist yet, so its parents decide.
        return True
    bit = 0o100 if info.st_uid == user.pw_uid else 0o010 if info.st_gid == user.pw_gid else 0o001
    return bool(info.st_mode & bit)


def _unprivileged(folder: Path) -> pwd.struct_passwd:
    """The owner of `folder` if it exists, else `postgres`, else `nobody`: the data must keep its owner."""
    try:
        owner = folder.stat().st_uid
    except (FileNotFoundError, NotADirectoryError):
        owner = 0
    users = {user.pw_name: user for user in pwd.getpwall()}
    named = [users[name] for name in ("postgres", "nobody") if name in users]
    info = next((user for user in users.values() if user.pw_uid == owner != 0), None) or next(iter(named), None)
    if info is not None:
        return info
    raise ServiceError(
        "Postgres does not run as root, and there is no user `postgres` or `nobody`",
        hint="add one, run as an ordinary user, or set RPRM_DATABASE_URL",
    )


@contextmanager
def _explained(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ServiceError(
            f"the servers' folder cannot be made: {error.strerror}",
            where=str(error.filename or home),
            hint="set RPRM_HOME to a folder that you can write",
        ) from error
