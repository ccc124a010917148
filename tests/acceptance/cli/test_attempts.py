"""`status --attempts`: every failed attempt of a job, as a table and as JSON."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from tests.support import jobs
from tests.support.command_line import Cli

pytestmark = pytest.mark.acceptance


@pytest.mark.usefixtures("served")
def test_the_failed_attempts_of_a_job_are_listed_with_their_errors(cli: Cli, tmp_path: Path) -> None:
    file = jobs.write_jsonl(tmp_path / "s.jsonl", jobs.make_solutions(4, marks={2: "[[scripted:raise]]"}))
    job = str(cli.json("submit", str(file), "--judge", "scripted", "-k", "2", "--wait", code=9)["job_id"])
    assert "attempts" not in cli.json("status", job)
    attempts = cli.json("status", job, "--attempts")["attempts"]
    assert attempts[-1]["outcome"] == "quarantined"
    assert all(a["first_ord"] <= 2 <= a["last_ord"] for a in attempts)
    assert all("scripted" in a["reason"] and a["worker"] for a in attempts)
    assert all(datetime.fromisoformat(a["failed_at"]).tzinfo is not None for a in attempts)
    shown = cli("status", job, "--attempts").stdout.splitlines()
    table = shown[next(i for i, line in enumerate(shown) if "failed at" in line) :]
    assert len(table) == 1 + len(attempts)
    assert "quarantined" in table[-1]
    assert "Z" in table[-1]
    assert cli("status", job).stdout == "\n".join(shown[: -len(table)]) + "\n"


def test_a_job_without_a_failed_attempt_says_so_and_an_unknown_one_is_not_found(cli: Cli, solutions: Path) -> None:
    job = str(cli.json("submit", str(solutions), "--judge", "scripted")["job_id"])
    assert cli("status", job, "--attempts").stdout.endswith("no attempt failed\n")
    assert cli.json("status", job, "--attempts")["attempts"] == []
    assert "there is no job 99" in cli("status", "99", "--attempts", code=4).stderr
