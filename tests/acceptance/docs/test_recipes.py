"""What the recipes tell the reader to do works: the Python runs, and the YAML is what it says."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.jobs import make_solutions, write_jsonl
from tests.support.workers import Workers

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

PAGE = (Path(__file__).parents[3] / "docs/recipes.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_step_rewards_of_the_training_loop(
    servers_env: dict[str, str], workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = blocks("python")
    for name, value in servers_env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    solutions = make_solutions(6)
    file = write_jsonl(tmp_path / "rollouts.jsonl", solutions)
    workers.start()
    names: dict[str, Any] = {}
    exec(code, names)
    rewards = names["step_rewards"](str(file), "scripted")
    assert set(rewards) == {solution.id for solution in solutions}
    for solution in solutions:
        assert len(rewards[solution.id]) == len(solution.steps)
        assert all(0.0 <= reward <= 1.0 for reward in rewards[solution.id])


def test_the_deployment_runs_a_worker_that_gets_time_to_stop() -> None:
    (manifest,) = map(yaml.safe_load, blocks("yaml"))
    pod = manifest["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["args"][0] == "worker"
    assert pod["terminationGracePeriodSeconds"] > 20
    assert {volume["name"] for volume in pod["volumes"]} == {mount["name"] for mount in container["volumeMounts"]}
