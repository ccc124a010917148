"""Several judges from the command line: judged again, compared, and one behind a screen, with real workers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import Cli

pytestmark = pytest.mark.acceptance


def write(path: Path, n: int) -> str:
    rows = [
        {"id": f"sums-{i}", "problem": f"sum {i}", "steps": [f"{i} + 1 = {i + 1}", "so", "it is"], "label": i % 4 - 1}
        for i in range(n)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def results(cli: Cli, job: int) -> list[dict[str, Any]]:
    return [json.loads(line) for line in cli("results", str(job)).stdout.splitlines()]


def test_a_job_is_judged_again_compared_and_screened(cli: Cli, tmp_path: Path) -> None:
    file = write(tmp_path / "in.jsonl", 24)
    first = cli.json("submit", file, "--judge", "scripted", "-k", "2", "--wait")["job_id"]
    Path(file).unlink()
    critic = ("--judge", "scripted", "--family", "critic", "-k", "3", "--stopping", "exact")
    second = cli.json("submit", "--from-job", str(first), *critic, "--wait")["job_id"]
    assert [row["id"] for row in results(cli, second)] == [row["id"] for row in results(cli, first)]
    page = tmp_path / "compare.html"
    compared = cli.json("compare", str(first), str(second), "--page", str(page), "--shown", "3")
    assert (compared["shared"], compared["labelled"]) == (24, 24)
    assert [job["job_id"] for job in compared["jobs"]] == [first, second]
    assert "<details" in page.read_text()
    shown = cli("compare", str(first), str(second)).stdout
    assert "kappa" in shown
    screen = ("--screen", "scripted", "--screen-family", "critic", "--weight", "6", "--until-first-error")
    cascade = cli.json("submit", "--from-job", str(first), "--judge", "scripted", "-k", "4", *screen, "--wait")
    rows = results(cli, cascade["judged"]["job_id"])
    assert all(len(row["screen"]) == 3 for row in rows)
    assert {row["sampling_policy"] for row in rows} == {"cascade"}
    cli("audit")
    cli("submit", "--from-job", str(first), file, code=2)
    cli("compare", str(first), code=2)


def test_two_judges_are_evaluated_side_by_side(cli: Cli, tmp_path: Path) -> None:
    file = write(tmp_path / "in.jsonl", 4)
    compared = cli.json("eval", "processbench", file, "--judge", "scripted", "--judge", "tiny", "-k", "1")
    assert [job["judge"] for job in compared["jobs"]] == ["scripted", "tiny"]
    assert compared["shared"] == compared["labelled"] == 4
    assert compared["pairs"][0]["kappa_steps"] is None or -1 <= compared["pairs"][0]["kappa_steps"] <= 1
    cli("eval", "processbench", file, "--judge", "scripted", "--judge", "tiny", "--family", "critic", code=2)


def test_a_cascade_is_evaluated(cli: Cli, tmp_path: Path) -> None:
    file = write(tmp_path / "in.jsonl", 8)
    screen = ("--screen", "scripted", "--screen-family", "math-shepherd", "--weight", "3")
    shown = cli("eval", "processbench", file, "--judge", "scripted", "-k", "4", *screen, "--json")
    judged = int(shown.stderr.split(" judges what job ")[0].rsplit(" ", 1)[-1])
    assert json.loads(shown.stdout)["subsets"]["sums"]["missing"] == 0
    assert {row["sampling_policy"] for row in results(cli, judged)} == {"cascade"}
    again = cli("eval", "processbench", file, "--judge", "scripted", "-k", "4", *screen)
    assert f"job {judged} judges" in again.stderr
    refused = cli("eval", "processbench", file, "--weight", "3", code=2)
    assert "--screen" in refused.stderr
