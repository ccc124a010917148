"""The command line in a fork of this process, in a terminal of 80 columns or with pipes: cheap, as a user has it."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from tests.support.terminal import Screen


def forked(arguments: Sequence[str], env: Mapping[str, str], folder: Path, *, terminal: bool) -> Screen:
    """`rprm-jobs ARGUMENTS`; standard output and error are one stream, as on a screen."""
    if terminal:
        process, outer = pty.fork()
        if process:
            fcntl.ioctl(outer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    else:
        outer, inner = os.pipe()
        process = os.fork()
        if not process:
            for stream in (1, 2):
                os.dup2(inner, stream)
        os.close(inner)
    if not process:
        _run(arguments, {**env, "COLUMNS": "80"} if terminal else env, folder)
    written = _read_all(outer)
    os.close(outer)
    _, status = os.waitpid(process, 0)
    return Screen(written.decode(errors="replace"), os.waitstatus_to_exitcode(status))


def _run(arguments: Sequence[str], env: Mapping[str, str], folder: Path) -> NoReturn:
    status = 70
    try:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update({"TERM": "xterm", "PATH": os.defpath, **env})
        # What the tests have put in their place must not be written to.
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
        sys.argv = ["rprm-jobs", *arguments]
        from rprm_jobs.cli import main

        main()
        status = 0
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # None of the tests' own endings run here.
        os._exit(status)


def _read_all(descriptor: int) -> bytes:
    written = bytearray()
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:
            # Linux reports the end of a terminal as an error.
            return bytes(written)
        if not chunk:
            return bytes(written)
        written += chunk
