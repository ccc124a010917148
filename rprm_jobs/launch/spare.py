"""A process that a command forks before it connects, and that becomes a worker when it is told to.

A worker needs most of what the command has imported by then. Importing it again takes as much processor time as the
whole command. The fork comes before there are connections and threads, which two processes must not share.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import psutil

_FAILED = 70
# What CPython starts with; the command has set it higher, for its own short life.
_GARBAGE_AFTER = (700, 10, 10)


class Spare:
    """The waiting process. It ends when this one does, and serves one `start`."""

    def __init__(self) -> None:
        reads, self._writes = os.pipe()
        # What is still buffered would be written twice.
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        pid = os.fork()
        if not pid:
            os.close(self._writes)
            _wait(reads)
        os.close(reads)
        self._process, self._waits = psutil.Process(pid), True

    def start(self, module: str, arguments: Sequence[str], env: Mapping[str, str], log: Path) -> psutil.Process | None:
        """Have it run `python -m MODULE ARGUMENTS`, its output appended to `log`; None where it was used already."""
        if not self._waits:
            return None
        request = {"module": module, "arguments": list(arguments), "env": dict(env), "log": str(log)}
        self._tell(json.dumps(request).encode())
        return self._process

    def dismiss(self) -> None:
        """End it, unless it was used."""
        if self._waits:
            self._tell(b"")
            self._process.wait()

    def _tell(self, message: bytes) -> None:
        self._waits = False
        with os.fdopen(self._writes, "wb") as pipe:
            pipe.write(message)


@contextmanager
def spare_worker(wanted: bool) -> Iterator[Spare | None]:
    """One for as long as the block lasts; None where it is not wanted. To be entered before anything is connected.

    Also None where a judge of the hub was looked up: the connections to it cannot be shared.
    """
    shares_nothing = threading.active_count() == 1 and "huggingface_hub" not in sys.modules
    spare = Spare() if wanted and shares_nothing else None
    try:
        yield spare
    finally:
        if spare is not None:
            spare.dismiss()


def _wait(requests: int) -> NoReturn:
    """All that the fork does."""
    status = _FAILED
    try:
        # Ctrl-C in the terminal is for the command, which then stops the worker.
        os.setsid()
        with os.fdopen(requests, "rb") as pipe:
            message = pipe.read()
        status = _become(json.loads(message)) if message else 0
    except BaseException:  # noqa: BLE001 - nothing of the command may go on in its fork
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)


def _become(request: Mapping[str, Any]) -> int:
    """Run the module as the interpreter would; its exit status."""
    _replace_descriptors(request["log"])
    os.environ.clear()
    os.environ.update(request["env"])
    gc.freeze()
    gc.set_threshold(*_GARBAGE_AFTER)
    sys.argv = [request["module"], *request["arguments"]]
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _replace_descriptors(log: str) -> None:
    """Nothing of the command's stays open: who reads from a pipe of it must see its end."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for number, descriptor in enumerate((nothing, out, out)):
        os.dup2(descriptor, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
