"""The command line as a user of the test's servers runs it, each command a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support import zygote
from tests.support.shapes import check_shape


class Cli:
    """Runs commands, and fails with both streams on any other exit status than `code`."""

    def __init__(self, env: dict[str, str], folder: Path) -> None:
        self.env, self.folder = env, folder
        self._started: list[subprocess.Popen[str]] = []

    def __call__(self, *arguments: str, stdin: bytes | None = None, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = zygote.run("rprm_jobs", arguments, self.env, self.folder, stdin, 280)
        assert done.returncode == code, f"exit {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def json(self, *arguments: str, code: int = 0) -> Any:
        """What the command with --json prints on stdout, which must be as the documented schema has it."""
        printed = json.loads(self(*arguments, "--json", code=code).stdout)
        check_shape(arguments, printed)
        return printed

    def start(self, *arguments: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
        """The command in the background, in a process group of its own; killed at the end of the test."""
        running = subprocess.Popen(
            [sys.executable, "-m", "rprm_jobs", *arguments],
            env=self.env,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
        self._started.append(running)
        return running

    def destroy(self) -> None:
        """Kill what was started and still runs."""
        for running in self._started:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)
            running.communicate()
