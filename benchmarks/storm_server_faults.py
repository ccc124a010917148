"""What happens to the storm's server of judgements: it is killed, frozen, overloaded, and breaks its answers off."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from benchmarks.storm_server import AWAY, CUT, NO_USAGE, OVERLOADED
from tests.support.jobs import wait_for

_FROZEN_S = 2.0


class JudgeServer:
    """The process, on a port that stays the same; it takes `delay_s` for an answer."""

    def __init__(self, folder: Path, rng: random.Random, *, delay_s: float = 0.02) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._log, self._rng, self._delay_s = folder / "server.log", rng, delay_s
        self._start()

    @property
    def url(self) -> str:
        """The base URL to give to an engine."""
        return f"http://127.0.0.1:{self._port}/v1"

    def restart(self) -> None:
        """It is killed, and comes back after a moment."""
        self.stop()
        time.sleep(self._rng.uniform(0.0, 1.0))
        self._start()

    def freeze(self) -> None:
        """It answers nobody for a while."""
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(_FROZEN_S)
        self._process.send_signal(signal.SIGCONT)

    def refuse_all(self) -> None:
        """It asks everybody to wait, or says that it is not there yet."""
        self._tell(self._rng.choice((OVERLOADED, AWAY)), self._rng.uniform(1.0, 3.0))

    def cut(self) -> None:
        """The next few answers end in the middle."""
        self._tell(CUT, self._rng.randint(1, 4))

    def leave_out_usage(self) -> None:
        """It does not say how many tokens it took."""
        self._tell(NO_USAGE, self._rng.uniform(1.0, 3.0))

    def stop(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()

    def _start(self) -> None:
        command = [sys.executable, "-m", "benchmarks.storm_server", str(self._port), str(self._delay_s)]
        root = str(Path(__file__).parents[1])
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": root}, stdout=log, stderr=log)
        wait_for(self._listens, what=lambda: f"the server listens: {self._log.read_text()[-2000:]}")

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def _tell(self, kind: str, amount: float) -> None:
        body = json.dumps({"kind": kind, "amount": amount}).encode()
        url = f"http://127.0.0.1:{self._port}/fault"
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=10) as answered:
            answered.read()
