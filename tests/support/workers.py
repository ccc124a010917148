"""Real worker processes for tests: started in a process group of their own, signalled, and never left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from rprm_jobs.errors import StoreUnavailable
from rprm_jobs.store.queue import workers
from rprm_jobs.store.session import Database
from tests.support import zygote
from tests.support.jobs import wait_for

ROOT = Path(__file__).parents[2]


class WorkerProcess:
    """`python -m workers` with its log in a file."""

    def __init__(self, env: Mapping[str, str], log: Path, *args: str, judge: str = "scripted") -> None:
        self.log_path = log
        with Path(os.devnull).open("rb") as nothing, log.open("ab") as out:
            streams = (nothing.fileno(), out.fileno(), out.fileno())
            self.process = zygote.start("workers", ["--judge", judge, *args], env, ROOT, streams)

    @property
    def pid(self) -> int:
        """The worker's process id, which is its group's as well."""
        return self.process.pid

    def log(self) -> str:
        """What it has said so far."""
        return self.log_path.read_text(errors="replace")

    def wait_ready(self, database: Database, *, within: float = 20.0) -> WorkerProcess:
        """Until the worker stands in the table of workers; AssertionError with its log when it ends before."""

        def look() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"the worker ended with {self.process.returncode}:\n{self.log()}")
            try:
                with database.transaction() as connection:
                    return any(w.pid == self.pid for w in workers.alive(connection))
            except StoreUnavailable:
                return False

        wait_for(look, within=within, what="the worker is ready")
        return self

    def send(self, number: signal.Signals) -> None:
        """Send one signal to the worker."""
        self.process.send_signal(number)

    def wait_exit(self, *, within: float = 20.0) -> int:
        """The exit status (negative: the signal that killed it); AssertionError with the log when it does not end."""
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the worker still runs after {within:g} s:\n{self.log()}") from None

    def wait_stopped(self, *, within: float = 20.0) -> None:
        """Until a signal has stopped it, as a frozen machine would."""
        process = psutil.Process(self.pid)
        wait_for(lambda: process.status() == psutil.STATUS_STOPPED, within=within, what="the worker is stopped")

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        self.send(signal.SIGTERM)
        return self.wait_exit()

    def destroy(self) -> None:
        """Kill the whole group, stopped or not, and its witness, for which there is nothing left to tell."""
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.pid).children(recursive=True):
                child.kill()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(10)


class Workers:
    """Starts workers and destroys them all at the end. `env` is that of every worker, `**more` adds to one's."""

    def __init__(self, env: Mapping[str, str], database: Database, folder: Path) -> None:
        self._env, self._database, self._folder = env, database, folder
        self.started: list[WorkerProcess] = []

    def start(self, *args: str, ready: bool = True, judge: str = "scripted", **more: str) -> WorkerProcess:
        """A worker with these arguments; waits until it is ready unless told not to."""
        log = self._folder / f"worker{len(self.started)}.log"
        worker = WorkerProcess({**self._env, **more}, log, *args, judge=judge)
        self.started.append(worker)
        return worker.wait_ready(self._database) if ready else worker

    def logs(self) -> str:
        """The ends of all logs, one after the other."""
        return "\n".join(f"--- worker {i} (pid {w.pid})\n{w.log()[-3000:]}" for i, w in enumerate(self.started))

    def destroy(self) -> None:
        """Kill all."""
        for worker in self.started:
            worker.destroy()


class Supervisor:
    """Keeps one worker running: call `tend` while waiting for something."""

    def __init__(self, workers: Workers, args: tuple[str, ...], more: Mapping[str, str]) -> None:
        self._workers, self._args, self._more = workers, args, more
        self.exits: list[int] = []
        self.current = workers.start(*args, ready=False, **more)

    def tend(self) -> None:
        """Start the worker again when it has ended."""
        status = self.current.process.poll()
        if status is not None:
            self.exits.append(status)
            self.current = self._workers.start(*self._args, ready=False, **self._more)

    def tend_until(self, look: Callable[[], object], *, within: float) -> None:
        """Tend the worker until `look()` is true."""
        deadline = time.monotonic() + within
        while not look():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {within:g} s; exits {self.exits}\n{self._workers.logs()}")
            self.tend()
            time.sleep(0.05)
