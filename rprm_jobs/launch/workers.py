"""Worker processes that a command starts: which worker, its environment, and when to start one.

`Say` prints a message for the user; the command line hands in its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from rprm_jobs.errors import ConfigError, EngineError
from rprm_jobs.launch.logs import log_folder, tidy_logs

if TYPE_CHECKING:
    from rprm_jobs.launch.spare import Spare
    from rprm_jobs.services.context import Context
    from rprm_jobs.services.jobs.query import JobStatus
    from rprm_jobs.store.records import Job

Say = Callable[[str], None]
Start = Callable[["Context", "WorkerChoice"], "WorkerProcess"]
# How a worker's log line begins when it serves.
READY = "ready: "
_STOP_S = 60.0
# A rollout that kills its worker costs eight attempts before it is isolated, whosever it is.
_REPLACEMENTS = 10
# A worker that was killed stays in the table of workers for longer than this.
_RECENT_S = 20.0


@dataclass(frozen=True, slots=True)
class WorkerChoice:
    """The worker to start if no other serves the model. `spare` becomes it, if there is one that is not used yet."""

    judge: str | None
    engine: str
    engine_args: tuple[str, ...]
    policy: str | None = None
    policy_engine: str = "auto"
    policy_engine_args: tuple[str, ...] = ()
    family: str | None = None
    spare: Spare | None = field(default=None, compare=False)

    @property
    def models(self) -> str:
        """What it serves, for a person."""
        return " and ".join(name for name in (self.policy, self.judge) if name is not None)

    def arguments(self) -> list[str]:
        """The arguments of `python -m workers`."""
        command = ["--judge", self.judge, "--engine", self.engine] if self.judge else []
        command += ["--family", self.family] if self.judge and self.family else []
        for pair in self.engine_args:
            command += ["--engine-arg", pair]
        if self.policy is not None:
            command += ["--policy", self.policy, "--policy-engine", self.policy_engine]
        for pair in self.policy_engine_args:
            command += ["--policy-engine-arg", pair]
        return command


class OwnWorker:
    """The command's own worker: at most one, started when no other serves the model.

    A rollout of any job in the queue may end it, so a worker that had been ready is replaced: while the job makes
    progress, and otherwise as often as it takes to isolate a rollout that kills its workers.
    """

    def __init__(self, context: Context, choice: WorkerChoice | None, say: Say, start: Start | None = None) -> None:
        self._context, self._choice, self._say = context, choice, say
        self._start = start or WorkerProcess
        self._child: WorkerProcess | None = None
        self._hint_shown = False
        self._replaced, self._solutions = 0, 0

    @property
    def starts(self) -> bool:
        """Whether it starts a worker if none serves the model."""
        return self._choice is not None

    @property
    def pid(self) -> int | None:
        """The process of its worker, if it has started one."""
        return None if self._child is None else self._child.pid

    def tend(self, status: JobStatus, command: str) -> None:
        """Start the worker where it is needed, or say `command`, which starts one. Raises EngineError."""
        if status.progress.solutions > self._solutions:
            self._solutions, self._replaced = status.progress.solutions, 0
        if self._child is not None and self._choice is not None:
            if self._child.exit_status() is not None:
                self._after_exit(self._child, self._choice, status)
        elif status.unserved and self._choice is not None:
            self._child = self._start(self._context, self._choice)
            self._say(f"no worker serves {self._choice.models}: started one, its log is {self._child.log}")
        elif status.unserved and not self._hint_shown:
            self._hint_shown = True
            self._say(f"no worker serves this job; start one: {command}")

    def _after_exit(self, child: WorkerProcess, choice: WorkerChoice, status: JobStatus) -> None:
        """Replace the worker, leave the job to others, or raise EngineError."""
        what = f"the worker exited with status {child.exit_status()}"
        others = [worker for worker in status.workers if worker.pid != child.pid and worker.silent_s < _RECENT_S]
        if child.was_ready() and self._replaced < _REPLACEMENTS:
            self._replaced += 1
            self._child = self._start(self._context, choice)
            self._say(f"{what}: started another ({self._replaced} of at most {_REPLACEMENTS} without progress)")
        elif others:
            self._child, self._choice = None, None
            self._say(f"{what}; other workers serve the job, so the wait goes on")
        else:
            raise EngineError(
                f"{what}:\n    " + "\n    ".join(child.last_lines()),
                where=str(child.log),
                hint=f"read its log: less {child.log}; the job goes on with the next worker",
            )

    def stop(self) -> None:
        """Stop the worker, if there is one; it hands back what it has not finished."""
        if self._child is not None:
            self._child.stop()


class WorkerProcess:
    """One `python -m workers` whose output goes to a log of its own."""

    def __init__(self, context: Context, choice: WorkerChoice) -> None:
        folder = log_folder(context.settings)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"the worker's log cannot be written: {error.strerror}",
                where=str(folder),
                hint="set RPRM_HOME to a folder that you can write",
            ) from error
        tidy_logs(folder)
        self.log: Path = folder / f"worker-{os.getpid()}.log"
        # One that replaces another writes below what that one said.
        with self.log.open("ab") as log:
            self._from = log.tell()
        arguments = [*choice.arguments(), "--log-file", str(self.log), "--exit-with-parent"]
        env = worker_environment(context)
        forked = None if choice.spare is None else choice.spare.start("workers", arguments, env, self.log)
        self._process = forked or _start_python("workers", arguments, env, self.log)
        self.pid = self._process.pid

    def exit_status(self) -> int | None:
        """As the system has it (negative: the signal that killed it); None while it runs."""
        try:
            status: int | None = self._process.wait(0)
        except psutil.TimeoutExpired:
            return None
        return status

    def was_ready(self) -> bool:
        """Whether it came to serve, so that its end is not the fault of how it was started."""
        return READY in self._said()

    def last_lines(self) -> list[str]:
        """The end of its log."""
        return self._said().strip().splitlines()[-5:]

    def stop(self) -> None:
        """Send SIGTERM and wait until the worker has handed back its work; nothing where it has ended."""
        if self.exit_status() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except psutil.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _said(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._from)
            return log.read().decode(errors="replace")


def _start_python(module: str, arguments: list[str], env: dict[str, str], log: Path) -> psutil.Process:
    with log.open("ab") as out:
        return psutil.Popen(
            [sys.executable, "-m", module, *arguments],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            # Ctrl-C in the terminal is for this process, which then stops the worker.
            start_new_session=True,
        )


def worker_family(job: Job) -> str | None:
    """What a worker of this job needs as --family; None where it finds that out itself."""
    from rprm_jobs.judge.families.table import spelled

    return None if job.recipe.family is None else spelled(job.recipe.judge_family)


def worker_environment(context: Context, *, metrics_port: int | None = None) -> dict[str, str]:
    """The environment of a worker: the servers' URLs are in it, because arguments can be read by all users.

    Without `metrics_port` it serves no metrics: two processes cannot listen on the port of `RPRM_METRICS_PORT`.
    """
    settings = context.settings
    environment = {
        **os.environ,
        "RPRM_DATABASE_URL": settings.database_url or "",
        "RPRM_REDIS_URL": settings.redis_url or "",
    }
    environment.pop("RPRM_METRICS_PORT", None)
    return environment if metrics_port is None else {**environment, "RPRM_METRICS_PORT": str(metrics_port)}
