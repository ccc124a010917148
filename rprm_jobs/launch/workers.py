"""Worker processes that a command starts: which worker, its environment, and when to start one.

`Say` prints a message for the user; the command line hands in its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rprm_jobs.errors import ConfigError, EngineError

if TYPE_CHECKING:
    from rprm_jobs.services.context import Context
    from rprm_jobs.services.jobs.query import JobStatus

Say = Callable[[str], None]
_STOP_S = 60.0


@dataclass(frozen=True, slots=True)
class WorkerChoice:
    """The worker to start if no other serves the model."""

    judge: str | None
    engine: str
    engine_args: tuple[str, ...]
    policy: str | None = None
    policy_engine: str = "auto"
    policy_engine_args: tuple[str, ...] = ()

    @property
    def models(self) -> str:
        """What it serves, for a person."""
        return " and ".join(name for name in (self.policy, self.judge) if name is not None)

    def arguments(self) -> list[str]:
        """The arguments of `python -m workers`."""
        command = ["--judge", self.judge, "--engine", self.engine] if self.judge else []
        for pair in self.engine_args:
            command += ["--engine-arg", pair]
        if self.policy is not None:
            command += ["--policy", self.policy, "--policy-engine", self.policy_engine]
        for pair in self.policy_engine_args:
            command += ["--policy-engine-arg", pair]
        return command


class OwnWorker:
    """The command's own worker: at most one, started when no other serves the model."""

    def __init__(self, context: Context, choice: WorkerChoice | None, say: Say) -> None:
        self._context, self._choice, self._say = context, choice, say
        self._child: WorkerProcess | None = None
        self._hint_shown = False

    @property
    def starts(self) -> bool:
        """Whether it starts a worker if none serves the model."""
        return self._choice is not None

    def tend(self, status: JobStatus, command: str) -> None:
        """Start the worker if one is needed, or say `command`, which starts one. Raises EngineError when it died."""
        if self._child is not None:
            self._child.check()
        elif status.unserved and self._choice is not None:
            self._child = WorkerProcess(self._context, self._choice)
            self._say(f"no worker serves {self._choice.models}: started one, its log is {self._child.log}")
        elif status.unserved and not self._hint_shown:
            self._hint_shown = True
            self._say(f"no worker serves this job; start one: {command}")

    def stop(self) -> None:
        """Stop the worker, if there is one; it hands back what it has not finished."""
        if self._child is not None:
            self._child.stop()


class WorkerProcess:
    """One `python -m workers` whose output goes to a log of its own."""

    def __init__(self, context: Context, choice: WorkerChoice) -> None:
        folder = context.settings.home / "logs"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"the worker's log cannot be written: {error.strerror}",
                where=str(folder),
                hint="set RPRM_HOME to a folder that you can write",
            ) from error
        self.log: Path = folder / f"worker-{os.getpid()}.log"
        command = [sys.executable, "-m", "workers", *choice.arguments()]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "--exit-with-parent"],
                env=worker_environment(context),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C in the terminal is for this process, which then stops the worker.
                start_new_session=True,
            )

    def check(self) -> None:
        """Raises EngineError, with the end of its log, when the worker has exited."""
        code = self._process.poll()
        if code is not None:
            tail = self.log.read_text(errors="replace").strip().splitlines()[-5:]
            raise EngineError(
                f"the worker exited with status {code}:\n    " + "\n    ".join(tail),
                where=str(self.log),
                hint=f"read its log: less {self.log}; the job goes on with the next worker",
            )

    def stop(self) -> None:
        """Send SIGTERM and wait until the worker has handed back its work."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def worker_environment(context: Context) -> dict[str, str]:
    """The environment of a worker: the servers' URLs are in it, because arguments can be read by all users."""
    settings = context.settings
    return {
        **os.environ,
        "RPRM_DATABASE_URL": settings.database_url or "",
        "RPRM_REDIS_URL": settings.redis_url or "",
    }
