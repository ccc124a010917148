"""File locks (flock) that a process holds for as long as it lives, however it ends.

Commands hold one while they start servers. A server inherits another and so holds it for life, in every child: it tells
a living server from a stale pid file, and one on another machine or in another container that shares the folder.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def taken(path: Path, wait_s: float) -> Iterator[int | None]:
    """The descriptor of the locked file; None when somebody else held it for `wait_s`. Raises OSError."""
    # Not followed and not emptied: the folder may be one that others write too.
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        yield lock if _take(lock, time.monotonic() + wait_s) else None
    finally:
        os.close(lock)


def is_held(path: Path) -> bool:
    """Whether a process holds the lock now."""
    with taken(path, 0) as lock:
        return lock is None


def _take(lock: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
        else:
            return True
        time.sleep(0.02)
