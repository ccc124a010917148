"""Starts multiprocessing's children in sessions of their own, out of reach of signals to the worker's process group.

A terminal's Ctrl-C, systemd and Slurm signal the whole group, and an engine that ends first takes the solutions in
progress with it. Blocking the signals instead does not hold: Python's resource tracker unblocks them, and vLLM ends its
own processes by SIGTERM. The reaper finds children by their parent, so it still ends them when the worker is killed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import util
from typing import Any


@contextmanager
def own_sessions() -> Iterator[None]:
    """Within it, each process that multiprocessing spawns leads a session of its own; so do those that they start."""
    module: Any = util
    inherited = module.spawnv_passfds
    module.spawnv_passfds = _spawn
    try:
        yield
    finally:
        module.spawnv_passfds = inherited


def _spawn(path: str | bytes, arguments: Sequence[str | bytes], passed: Sequence[int]) -> int:
    """`multiprocessing.util.spawnv_passfds`, with setsid() between fork and exec; returns the pid."""
    closed = [fd for fd in map(int, passed) if not os.get_inheritable(fd)]
    for fd in closed:
        os.set_inheritable(fd, True)
    try:
        return os.posix_spawn(path, list(arguments), os.environ, setsid=True)
    finally:
        for fd in closed:
            os.set_inheritable(fd, False)
