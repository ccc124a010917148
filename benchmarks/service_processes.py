"""The service and one worker as processes that may be killed, and are started again."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rprm_jobs.settings import Settings
from tests.support.service import free_port


@contextmanager
def service_and_worker(
    settings: Settings, folder: Path, judge: str = "scripted", engine: str = "auto"
) -> Iterator[Processes]:
    """`rprm-jobs serve` and one worker, as processes that may be killed and are started again."""
    processes = Processes(settings, folder, judge, engine)
    try:
        processes.start()
        yield processes
    finally:
        processes.stop()


class Processes:
    """The service on `port`, and a worker; `tend` starts again what has ended."""

    def __init__(self, settings: Settings, folder: Path, judge: str, engine: str) -> None:
        self.settings, self._folder, self.port = settings, folder, free_port()
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RPRM_")},
            "RPRM_HOME": str(settings.home), "RPRM_DATABASE_URL": settings.database_url or "",
            "RPRM_REDIS_URL": settings.redis_url or "", "RPRM_LEASE_S": "10", "RPRM_RENEW_S": "1", "RPRM_SWEEP_S": "1",
        }  # fmt: skip
        self._commands = {
            "service": ["-m", "rprm_jobs", "serve", "--port", str(self.port)],
            "worker": ["-m", "workers", "--judge", judge, "--engine", engine],
        }
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        """Where the service is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start both and wait until both serve."""
        self.tend()
        deadline = time.monotonic() + 600
        while b"ready: " not in (self._folder / "worker.log").read_bytes() or not self._listens():
            if time.monotonic() > deadline:
                raise RuntimeError(
                    (self._folder / "service.log").read_text() + (self._folder / "worker.log").read_text()
                )
            time.sleep(0.1)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def tend(self) -> None:
        """Start what does not run."""
        for name, command in self._commands.items():
            if name not in self.running or self.running[name].poll() is not None:
                with (self._folder / f"{name}.log").open("ab") as log:
                    self.running[name] = subprocess.Popen(
                        [sys.executable, *command], env=self.env, stdout=log, stderr=log, start_new_session=True
                    )

    def stop(self) -> None:
        """Stop both in good order."""
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
