"""Standard streams that are closed, full or read by nobody: each is one clear message and a status, never a traceback.

A closed stream is opened on /dev/null first. Otherwise the next file or socket would get its number, and what is
printed would end up in there.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import NoReturn

from rprm_jobs.errors import ConfigError

BROKEN_PIPE = 141
# What a write to a full disk, a closed or a broken file can say.
_OF_A_STREAM = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF, errno.EFBIG, errno.EINVAL)


class _Closed(io.TextIOBase):
    """Stands for a standard output that the caller closed: writing to it is an error, as writing to a full disk is."""

    def write(self, _text: str) -> int:
        raise OSError(errno.EBADF, "it is closed")


def prepare_streams() -> None:
    """Open what is closed on /dev/null; show characters that the encoding lacks escaped."""
    closed = [stream is None for stream in (sys.stdin, sys.stdout, sys.stderr)]
    for number, is_closed in enumerate(closed):
        if is_closed:
            _point_at_null(number)
    if closed[0]:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 - it stays open
    if closed[1]:
        sys.stdout = _Closed()
    if closed[2]:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - it stays open
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flush_output() -> None:
    """Write what is buffered, so that an error is seen here and not at the interpreter's end."""
    sys.stdout.flush()


def output_error(error: OSError) -> ConfigError | None:
    """The error for a standard output that takes nothing more; None when `error` is about something else."""
    if error.filename is not None or error.errno not in _OF_A_STREAM:
        return None
    forget_output()
    return ConfigError(
        f"standard output cannot be written: {error.strerror}", hint="send it to a file with room: rprm-jobs ... > FILE"
    )


def forget_output() -> None:
    """Drop what is still buffered: writing it must not fail again at the interpreter's end."""
    _point_at_null(1)


def forget_messages() -> None:
    """Drop the messages that stderr has not taken, and all later ones."""
    _point_at_null(2)


def leave_broken_pipe() -> NoReturn:
    """End as a program whose reader (`head`, for example) has stopped reading."""
    forget_output()
    sys.exit(BROKEN_PIPE)


def _point_at_null(number: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null != number:
        os.dup2(null, number)
        os.close(null)
