"""Finds and ends server processes that an earlier command started, and quotes their logs.

A pid in a file proves nothing: after a restart of the machine another program may have it. A process is the server of
a folder only if that folder is its working directory.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil

_TAIL_LINES = 8


def process_in(folder: Path, pid_file: Path) -> psutil.Process | None:
    """The running process whose pid is in `pid_file` and that works in `folder`, else None."""
    try:
        process = psutil.Process(int(pid_file.read_text().split()[0]))
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
    return process if _works_in(process, folder) else None


def processes_in(folder: Path, name: str) -> list[psutil.Process]:
    """All running processes called `name` that work in `folder`."""
    listed = psutil.process_iter(["name"])
    return [process for process in listed if process.info["name"] == name and _works_in(process, folder)]


def end(processes: list[psutil.Process], number: signal.Signals, *, wait_s: float, kill: bool) -> bool:
    """Send the signal and wait; with `kill`, kill those that are left. Returns whether all have ended."""
    _send(processes, number)
    left = _wait(processes, wait_s)
    if left and kill:
        _send(left, signal.SIGKILL)
        left = _wait(left, wait_s)
    return not left


def tail(log: Path) -> str:
    """The last lines of a server's log, indented for a message. Does not follow a link."""
    try:
        with os.fdopen(os.open(log, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 8192))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError as error:
        lines = [f"(its log cannot be read: {error.strerror})"]
    return "\n    ".join(["", *lines[-_TAIL_LINES:]])


def write_closed(path: Path, text: str) -> None:
    """Write a new file with `text` that only its owner can read."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return not _ended(process) and Path(process.cwd()) == folder.resolve()
    except psutil.Error:
        # It belongs to another user, so it is not ours.
        return False


def _ended(process: psutil.Process) -> bool:
    """Whether it has ended. A zombie has: it stays listed where nothing reaps orphans."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _send(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def _wait(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    deadline = time.monotonic() + seconds
    while (left := [process for process in processes if not _ended(process)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left
