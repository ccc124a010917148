"""Runs a command in a pseudo-terminal of a given width, or with a pipe, and says what its screen shows."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support import zygote

# A command that does not end by itself is killed, so that its screen can be seen.
_LONGEST_S = 60.0
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>]")


@dataclass(frozen=True, slots=True)
class Screen:
    """What a command wrote into its terminal: `raw` with all escape sequences, `lines` without them."""

    raw: str
    returncode: int

    @property
    def lines(self) -> list[str]:
        """The lines, each as it stands after the last carriage return in it."""
        plain = _ESCAPES.sub("", self.raw).replace("\r\n", "\n")
        return [line.rstrip("\r").rpartition("\r")[2] for line in plain.split("\n")]


def run_in_terminal(
    arguments: Sequence[str], env: Mapping[str, str], folder: Path, *, columns: int = 80, rows: int = 24
) -> Screen:
    """`rprm-jobs ARGUMENTS` with stdin, stdout and stderr in one terminal."""
    return run_program_in_terminal([sys.executable, "-m", "rprm_jobs", *arguments], env, folder, columns, rows)


def run_program_in_terminal(
    command: Sequence[str], env: Mapping[str, str], folder: Path, columns: int = 80, rows: int = 24
) -> Screen:
    """Any command in a terminal of its own."""
    outer, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    plain = {name: value for name, value in env.items() if name not in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        command, env={"TERM": "xterm-256color", **plain}, cwd=folder, stdin=inner, stdout=inner, stderr=inner,
        start_new_session=True,
    )  # fmt: skip
    os.close(inner)
    written = bytearray()
    try:
        while chunk := _read(outer):
            written += chunk
    finally:
        os.close(outer)
    return Screen(written.decode(errors="replace"), process.wait(60))


def forked_screen(
    arguments: Sequence[str],
    env: Mapping[str, str],
    folder: Path,
    *,
    terminal: bool,
    seen: Callable[[str, zygote.Forked], None] = lambda _, __: None,
) -> Screen:
    """`rprm-jobs ARGUMENTS` with all streams in one terminal of 80 columns, or output and errors in one pipe.

    `seen` is told what was written so far whenever there is more, and may send signals.
    """
    outer, inner = pty.openpty() if terminal else os.pipe()
    if terminal:
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    plain = {name: value for name, value in env.items() if name not in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")}
    with Path(os.devnull).open("rb") as nothing:
        streams = (inner if terminal else nothing.fileno(), inner, inner)
        process = zygote.start("rprm_jobs", arguments, {"TERM": "xterm", **plain}, folder, streams)
    os.close(inner)
    written = bytearray()
    killer = threading.Timer(_LONGEST_S, process.kill)
    killer.start()
    while chunk := _read(outer):
        written += chunk
        seen(written.decode(errors="replace"), process)
    killer.cancel()
    os.close(outer)
    return Screen(written.decode(errors="replace"), process.wait(60))


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:
        # Linux reports the end of a terminal as an error.
        return b""
