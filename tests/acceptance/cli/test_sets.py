"""From labelled steps to training sets on the command line: sample, build, show, export, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from rprm_jobs.judge.prompt import PromptTemplate
from rprm_jobs.judge.verdict import find_verdicts
from tests.support.command_line import Cli

pytestmark = [pytest.mark.acceptance, pytest.mark.usefixtures("served")]

LABELLED = [
    {
        "id": f"p-{i}",
        "problem": f"What is {i} plus 1?",
        "steps": [f"{i} + 1 = {i + 1}.", "So it is."],
        "label": i % 3 - 1,
    }
    for i in range(60)
]


@pytest.fixture
def job(cli: Cli, tmp_path: Path) -> str:
    """A finished job of critiques of labelled steps, by the scripted judge."""
    path = tmp_path / "labelled.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in LABELLED))
    done = cli.json("sample", str(path), "--judge", "scripted", "-k", "6", "--wait")
    return str(done["job_id"])


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_pairs_from_a_job_to_files(cli: Cli, job: str, tmp_path: Path) -> None:
    dry = cli.json("pairs", "build", job, "--name", "one", "--dry-run")
    assert cli.json("pairs", "list") == []
    built = cli.json("pairs", "build", job, "--name", "one")
    assert (built["created"], built["n_train"], built["digest"]) == (True, dry["n_train"], dry["digest"])
    assert built["n_train"] > 0
    assert built["n_validation"] > 0
    assert not cli.json("pairs", "build", job, "--name", "one")["created"]
    (listed,) = cli.json("pairs", "list")
    assert (listed["name"], listed["jobs"], listed["n_train"]) == ("one", [int(job)], built["n_train"])

    cli("pairs", "export", "one", "-o", "pairs.jsonl")
    rows = lines(tmp_path / "pairs.jsonl")
    assert len(rows) == built["n_train"]
    steps = {row["id"]: row for row in LABELLED}
    template = PromptTemplate.default()
    for row in rows:
        source = steps[row["id"]]
        assert row["prompt"] == template.render(source["problem"], source["steps"], row["step"])
        answer, other = ("Yes", "No") if row["correct"] else ("No", "Yes")
        assert find_verdicts(row["chosen"])[-1][1] == answer
        assert find_verdicts(row["rejected"])[-1][1] == other
    shown = cli("pairs", "show", "one", "--rows", "1").stdout
    assert rows[0]["chosen"] in shown

    assert cli.json("pairs", "export", "one", "--folder", "data")["rows"] == {
        "train": built["n_train"], "validation": built["n_validation"],
    }  # fmt: skip
    assert pq.read_table(tmp_path / "data" / "train.parquet").to_pylist() == rows
    problems = {row["prompt"] for row in rows}
    held = pq.read_table(tmp_path / "data" / "validation.parquet").to_pylist()
    assert len(held) == built["n_validation"]
    assert not problems & {row["prompt"] for row in held}
    assert "not empty" in cli("pairs", "export", "one", "--folder", "data", code=2).stderr


def test_critiques_to_imitate(cli: Cli, job: str) -> None:
    built = cli.json("sft", "build", job, "--name", "cold", "--validation", "0", "--no-balance")
    rows = [json.loads(line) for line in cli("sft", "export", "cold").stdout.splitlines()]
    assert len(rows) == built["n_train"] == built["counts"]["critiques"]["kept"]
    assert set(rows[0]) == {"id", "step", "correct", "prompt", "completion"}
    assert all(find_verdicts(r["completion"])[-1][1] == ("Yes" if r["correct"] else "No") for r in rows)
    last = cli.json("sft", "build", job, "--name", "last", "--per-step", "last", "--no-balance", "--dry-run")
    assert last["counts"]["critiques"]["kept"] == built["counts"]["steps"]["used"] < built["n_train"]


def test_what_cannot_be_is_refused_with_its_hint(cli: Cli, job: str) -> None:
    assert "there is no rule 'best'" in cli("pairs", "build", job, "--name", "x", "--rule", "best", code=2).stderr
    assert "no choice --neutral good" in cli("sft", "build", job, "--name", "x", "--neutral", "good", code=2).stderr
    assert "no choice --per-step best" in cli("sft", "build", job, "--name", "x", "--per-step", "best", code=2).stderr
    assert "there is no job 99" in cli("pairs", "build", "99", "--name", "x", code=4).stderr
    assert "there is no set 'x'" in cli("pairs", "show", "x", code=4).stderr
    cli("pairs", "build", job, "--name", "x")
    assert "rprm-jobs pairs list" in cli("sft", "show", "x", code=4).stderr
    assert "one of train, validation" in cli("pairs", "export", "x", "--split", "test", code=2).stderr
    assert "there is another set 'x'" in cli("pairs", "build", job, "--name", "x", "--rule", "all", code=6).stderr
    assert "rprm-jobs pairs delete x" in cli("delete", job, "--yes", code=6).stderr
    cli("pairs", "delete", "x")
    cli("delete", job, "--yes")
