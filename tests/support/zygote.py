"""Real processes without the price of their imports: a process that has imported the project forks for each command.

Starting Python, SQLAlchemy and the rest costs a second of CPU, a fork of a process that has them some milliseconds; a
suite with hundreds of commands lives on that. What is forked is a process like any other: its own environment, folder,
streams and signals, `__main__` run from the top. `python -m` itself is tried by the README's transcripts.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

from rprm_jobs.settings import load_settings

ROOT = Path(__file__).parents[2]
_LARGEST = 1 << 18
_PACKAGES = ("rprm_jobs.cli", "rprm_jobs.services", "rprm_jobs.formats", "rprm_jobs.evaluation", "rprm_jobs.local")
# A worker's way in, and the engine that costs nothing (the others bring torch); what is otherwise imported when needed.
_MODULES = ("workers.process", "workers.engines.scripted.engine", "workers.engines.scripted.policy", "rprm_jobs.local",
            "celery.fixups.django", "numpy.random", "pyarrow.parquet", "rich.box", "fractions")  # fmt: skip


class Forked:
    """A process that the zygote forked, with what tests use of Popen. `returncode` is as Popen's."""

    def __init__(self, pid: int, status: socket.socket) -> None:
        self.pid, self._status = pid, status
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status, or None while it runs."""
        return self._look(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit status. Raises TimeoutExpired."""
        status = self._look(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(f"pid {self.pid}", timeout or 0.0)
        return status

    def send_signal(self, number: int) -> None:
        """Send one signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            self._status.settimeout(timeout)
            try:
                self.returncode = os.waitstatus_to_exitcode(int(self._status.recv(64)))
            except (TimeoutError, BlockingIOError):
                return None
            self._status.close()
        return self.returncode


def start(
    module: str,
    arguments: Sequence[str],
    env: Mapping[str, str],
    folder: Path,
    streams: tuple[int, int, int],
    *,
    new_session: bool = True,
) -> Forked:
    """Run `python -m module arguments` in a fork; `streams` are its descriptors 0, 1 and 2."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        request = {"module": module, "argv": list(arguments), "env": dict(env), "folder": str(folder)}
        message = json.dumps({**request, "new_session": new_session}).encode()
        socket.send_fds(_zygote(), [message], [*streams, theirs.fileno()])
    pid = ours.recv(64)
    if not pid:
        raise RuntimeError("the zygote did not fork; its reason is on stderr")
    return Forked(int(pid), ours)


def run(
    module: str, arguments: Sequence[str], env: Mapping[str, str], folder: Path, stdin: bytes | None, timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run to the end. Raises TimeoutExpired with what was printed, after killing it."""
    with tempfile.TemporaryFile() as piped, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        piped.write(stdin or b"")
        piped.seek(0)
        process = start(module, arguments, env, folder, (piped.fileno(), out.fileno(), err.fileno()), new_session=False)
        try:
            status = process.wait(timeout)
        except BaseException:
            process.kill()
            process.wait()
            sys.stderr.write(_all_of(out) + _all_of(err))
            raise
        return subprocess.CompletedProcess([module, *arguments], status, _all_of(out), _all_of(err))


def _all_of(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


@functools.cache
def _zygote() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", "tests.support.zygote", str(theirs.fileno())]
        process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    # It ends when this end is closed.
    atexit.register(lambda: (ours.close(), process.wait(10)))
    return ours


def _serve(requests: socket.socket) -> dict[str, Any]:
    """Fork for every request; returns in the forks, with what they have to run."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, _LARGEST, 4)
        if not message:
            sys.exit(0)
        if os.fork() == 0:
            requests.close()
            return _become(json.loads(message), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _become(request: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
    """Fork once more: the one waits for the other, since only a parent learns how a process ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    status = socket.socket(fileno=descriptors.pop())
    if pid := os.fork():
        # Who reads from the command's pipe must see its end.
        for descriptor in descriptors:
            os.close(descriptor)
        _tell_the_end(pid, status)
    if request["new_session"]:
        os.setsid()
    status.send(str(os.getpid()).encode())
    status.close()
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    return request


def _tell_the_end(pid: int, status: socket.socket) -> NoReturn:
    _, ended = os.waitpid(pid, 0)
    try:
        status.send(str(ended).encode())
    except OSError:
        # Nobody waits for it any more.
        pass
    finally:
        os._exit(0)


def _preload() -> None:
    for package in _PACKAGES:
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
            importlib.import_module(module.name)
    for name in _MODULES:
        importlib.import_module(name)
    load_settings({})


def main() -> None:
    """Be the zygote, then whatever a fork is asked to be."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    _preload()
    request = _serve(requests)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    sys.stdin = sys.__stdin__ = open(0, closefd=False)  # type: ignore[misc]  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", closefd=False)  # type: ignore[misc]  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", 1, errors="backslashreplace", closefd=False)  # type: ignore[misc]  # noqa: SIM115
    sys.argv = [request["module"], *request["argv"]]
    status = _run(request["module"])
    sys.stdout.flush()
    os._exit(status)


def _run(module: str) -> int:
    """The exit status of the module, all but taken down: freeing a thousand modules takes longer than most commands."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code
    except BaseException:  # noqa: BLE001 - as the interpreter would
        traceback.print_exc()
        status = 1
    else:
        status = None
    if status is not None and not isinstance(status, int):
        print(status, file=sys.stderr)
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    return status or 0


if __name__ == "__main__":
    main()
