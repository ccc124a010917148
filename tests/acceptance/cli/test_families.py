"""Scoring judges by the real command line, from `submit` and a worker of its own to everything that reads the job."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command_line import Cli

pytestmark = pytest.mark.acceptance

ROWS = [
    {"id": f"gsm8k-{i}", "problem": f"{i} + 1?", "steps": [f"{i} + 1 = {i + 1}", "so it is"], "label": i % 3 - 1}
    for i in range(12)
]


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return str(path)


def test_a_family_from_submission_to_results(cli: Cli, file: str) -> None:
    # The engine without a model: what those with one read is tested with the engines.
    submitted = cli("submit", file, "--judge", "scripted", "--family", "pure-prm", "--wait")
    assert "12 solutions, 24 steps" in submitted.stderr
    job = submitted.stdout.strip()
    rows = [json.loads(line) for line in cli("results", job).stdout.splitlines()]
    assert [row["status"] for row in rows] == ["ok"] * 12
    assert {row["reward_source"] for row in rows} == {"scores"}
    assert all(-1 <= reward <= 1 for row in rows for reward in row["rewards"])
    assert any(reward < 0 for row in rows for reward in row["rewards"])
    for row in rows:
        wrong = [step for step, reward in enumerate(row["rewards"]) if reward < 0]
        assert row["first_error"] == (wrong[0] if wrong else -1)
    assert cli.json("status", job)["k"] == 1
    assert cli.json("eval", "processbench", "--job", job)["subsets"]["gsm8k"]["missing"] == 0
    cli("eval", "processbench", "--job", job, "--threshold=-1.5", code=2)
    cli("report", job, "-o", "page.html")
    cli("audit", job)
    refused = cli("pairs", "build", job, "--name", "x", code=3)
    assert "writes no critiques" in refused.stderr
    again = cli("submit", file, "--judge", "scripted", "--family", "pure-prm")
    assert again.stdout.strip() == job
