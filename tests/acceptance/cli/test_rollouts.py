"""Rollouts and searches from the command line: written, judged when they are written, and evaluated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import Cli

pytestmark = pytest.mark.acceptance

EXAMPLES = Path(__file__).parents[3] / "examples" / "problems.jsonl"
POLICY = ("--policy", "scripted")


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def questions(n: int) -> list[dict[str, Any]]:
    return [{"id": f"q{i}", "problem": f"How much is {i} and 2?", "answer": str((i + 2) % 5)} for i in range(n)]


def test_rollouts_are_written_judged_and_evaluated_in_one_go(cli: Cli, tmp_path: Path) -> None:
    names = {"id": "uid", "problem": "prompt", "answer": "target"}
    file = write(tmp_path / "problems.jsonl", [{names[name]: row[name] for name in row} for row in questions(12)])
    fields = ("--map", "problem=prompt,answer=target", "--map", "id=uid")
    command = ("rollout", file, *fields, *POLICY, "-n", "4", "--then-score", "--judge", "scripted", "-k", "2", "--wait")
    made = cli.json(*command)
    assert (made["solutions"], made["ok"], made["scores"]["ok"]) == (48, 48, 48)
    rows = [json.loads(line) for line in cli("results", str(made["job_id"])).stdout.splitlines()]
    assert [row["id"] for row in rows[:5]] == ["q0#0", "q0#1", "q0#2", "q0#3", "q1#0"]
    assert all(row["answer"] in row["steps"][-1] and row["finish"] == "stop" for row in rows)
    judged = [json.loads(line) for line in cli("results", str(made["scores"]["job_id"])).stdout.splitlines()]
    assert [row["id"] for row in judged] == [row["id"] for row in rows]
    assert all(len(j["rewards"]) == len(r["steps"]) for j, r in zip(judged, rows, strict=True))
    correct = sum(row["answer"] == row["metadata.answer"] for row in rows) / len(rows)
    report = cli.json("eval", "best-of-n", str(made["job_id"]), "--n", "1,4")
    assert report["pass@1"] == pytest.approx(correct)
    assert (report["n_problems"], report["n_judged"], report["problems_left_out"], report["cut"]) == (12, 12, 0, 0)
    again = cli.json(*command)
    found = (again["created"], again["job_id"], again["scores"]["job_id"])
    assert found == (False, made["job_id"], made["scores"]["job_id"])
    other = cli.json(*command[:-2], "3", "--stopping", "exact", "--wait")
    assert other["job_id"] == made["job_id"]
    assert other["scores"]["job_id"] not in (made["job_id"], made["scores"]["job_id"])
    fewer = [json.loads(line) for line in cli("results", str(other["scores"]["job_id"])).stdout.splitlines()]
    assert {row["sampling_policy"] for row in fewer} == {"exact"}
    assert {n for row in fewer for n in row["critiques_per_step"]} == {2, 3}
    cli("audit")


def test_a_search_is_a_job_with_its_tree(cli: Cli, tmp_path: Path) -> None:
    file = write(tmp_path / "problems.jsonl", questions(6))
    made = cli.json(
        "search", file, *POLICY, "--judge", "scripted", "-k", "2", "--candidates", "4", "--width", "2", "--wait"
    )
    assert made["ok"] == 6
    rows = [json.loads(line) for line in cli("results", str(made["job_id"]), "--critiques").stdout.splitlines()]
    for row in rows:
        assert len(row["rewards"]) == len(row["steps"]) <= len(row["tree"]["depths"])
        assert all(sum(one["copies"] for one in depth) == 4 for depth in row["tree"]["depths"])
    report = cli.json("eval", "best-of-n", str(made["job_id"]))
    assert report["pass@1"] == sum(row["answer"] == row["metadata.answer"] for row in rows) / 6
    refused = cli("eval", "best-of-n", str(made["job_id"]), "--n", "4", code=2).stderr
    assert "--n has no effect" in refused
    assert "which has one answer a problem" in refused
    assert "policy scripted, 4 candidates, judge scripted" in cli("status", str(made["job_id"])).stdout
    cli("audit")


@pytest.mark.engine
@pytest.mark.slow
def test_the_shipped_policy_and_judge_search_together(cli: Cli) -> None:
    rows = [json.loads(line) for line in EXAMPLES.read_text().splitlines()[:2]]
    file = write(cli.folder / "problems.jsonl", rows)
    made = cli.json(
        "search", file, "--policy", "tiny-policy", "--judge", "tiny", "-k", "1", "--candidates", "2", "--wait"
    )
    assert made["ok"] == 2
    for line in cli("results", str(made["job_id"])).stdout.splitlines():
        row = json.loads(line)
        # The answer is what the last step of the chain comes to.
        assert row["steps"][-1].endswith(f"={row['answer']}.")
        assert 3 <= len(row["steps"]) <= 7


def test_wrong_input_is_refused_by_name(cli: Cli, tmp_path: Path) -> None:
    bad = write(tmp_path / "bad.jsonl", [*questions(1), {"id": "x"}, {"id": "y", "problem": "?", "answer": {}}])
    refused = cli("rollout", bad, *POLICY, code=3).stderr
    assert f"{bad}:2: field problem (or question) is missing" in refused
    assert f"{bad}:3: field answer is an object" in refused
    good = write(tmp_path / "good.jsonl", questions(1))
    assert "n=0 is not in 1.." in cli("rollout", good, *POLICY, "-n", "0", code=2).stderr
    assert "cannot serve 9 paths" in cli("search", good, *POLICY, "--judge", "scripted", "--width", "9", code=2).stderr
    blank = write(tmp_path / "blank.jsonl", [{"id": "a", "problem": "?"}])
    job = cli.json("rollout", blank, *POLICY, "-n", "2", "--wait")["job_id"]
    assert "give its row an answer field" in cli("eval", "best-of-n", str(job), code=2).stderr
    assert "has no critiques to add to" in cli("extend", str(job), "-k", "4", code=6).stderr
    assert "a report is about judging" in cli("report", str(job), "-o", "r.html", code=3).stderr
