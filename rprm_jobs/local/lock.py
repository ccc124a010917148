"""File locks (flock) that a process holds until it ends, in whatever way.

Commands hold one while they start servers. A server inherits another and holds it, with its children, until it ends:
the lock tells a running server, also one in another container that shares the folder, from a stale pid file.
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
    """The descriptor of the locked file; None if another process held the lock for `wait_s`. Raises OSError."""
    # Links are not followed and nothing is truncated: others may be able to write to the folder.
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
