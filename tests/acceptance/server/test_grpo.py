"""The example that trains a policy on a service's rewards: it trains, and no outage of the judge changes a reward."""

from __future__ import annotations

import argparse
import importlib.util
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest

from rprm_jobs.evaluation.picking import mean
from rprm_jobs.services.jobs.submit import make_recipe
from tests.support.command_line import Cli
from tests.support.jobs import JUDGE, expected_rewards, make_solutions, wait_for
from tests.support.workers import Workers

pytestmark = pytest.mark.acceptance
EXAMPLE = Path(__file__).parents[3] / "examples" / "grpo.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("grpo_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def cli(servers_env: dict[str, str], tmp_path: Path) -> Iterator[Cli]:
    running = Cli(servers_env, tmp_path)
    yield running
    running.destroy()


class Service:
    """`rprm-jobs serve` on a port that stays the same when it is started again."""

    def __init__(self, cli: Cli) -> None:
        self._cli = cli
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        options = ("--port", str(self.port), "--judge", "scripted")
        self._running = self._cli.start("serve", *options, stderr=subprocess.DEVNULL)
        wait_for(self._answers, within=30, what="the service answers")

    def kill(self) -> None:
        self._running.kill()
        self._running.wait()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def test_an_outage_in_the_middle_changes_no_reward(example: ModuleType, cli: Cli, workers: Workers) -> None:
    service = Service(cli)
    solutions = make_solutions(16, steps=4)
    completions = [[{"role": "assistant", "content": "\n\n".join(s.steps)}] for s in solutions]
    prompts = [[{"role": "user", "content": s.problem}] for s in solutions]
    judging = {"service": service.url, "judge": "scripted", "aggregation": "mean", "k": 2, "run": "r"}
    reward = example.judge_reward(argparse.Namespace(**judging))
    slow = workers.start("--engine-arg", "delay_s=1", "--critiques-in-flight", "8")
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(reward, prompts, completions)
        time.sleep(1.5)
        assert not asking.done()
        slow.send(signal.SIGKILL)
        service.kill()
        service.start()
        workers.start()
        rewards: list[float | None] = asking.result(120)
    # Worked out from the engine, since the store would give again what it has.
    expected = expected_rewards(solutions, make_recipe(JUDGE, k=2))
    assert rewards == [pytest.approx(mean(expected[s.id])) for s in solutions]
    assert len(set(rewards)) > 8


@pytest.mark.slow
def test_the_example_trains(cli: Cli, workers: Workers, tmp_path: Path) -> None:
    service = Service(cli)
    workers.start()
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), "--service", service.url, "--judge", "scripted", "-k", "1", "--steps", "2",
         "--problems", "4", "--samples", "1", "--out", str(tmp_path / "out")],
        env=cli.env, capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout)
    assert len(report["rewards"]) == 2
    assert all(0 < reward < 1 for reward in report["rewards"])
    assert 0 <= report["before"] <= 100
