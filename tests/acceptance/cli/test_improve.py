"""The self-evolving loop: a round from sampling to a measured judge, found again; wrong options are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rprm_jobs.judge.resolve import resolve_judge
from tests.support.command_line import Cli
from tests.support.judges import build_drilled_judge

pytestmark = [pytest.mark.acceptance, pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(600)]

SHORT = ["steps=2", "batch=2", "accumulation=1", "learning_rate=1e-3", "evaluate-every=1", "bf16"]


def write(path: Path, name: str, count: int) -> str:
    rows = [
        {"id": f"{name}-{i}", "problem": f"{i} plus 1?", "steps": [f"{i} + 1 = {i + 1}."], "label": i % 2 - 1}
        for i in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_round_and_what_is_found_of_it_again(cli: Cli, tmp_path: Path) -> None:
    judge = str(build_drilled_judge(tmp_path / "drilled"))
    labelled, held = write(tmp_path / "labelled.jsonl", "more", 12), write(tmp_path / "held.jsonl", "held", 4)
    Path(held).write_text(Path(held).read_text().replace("plus 1?", "plus one?"))
    # How long it goes on is held by tests/unit/launch/test_improve.py.
    command = ["improve", labelled, "--validate", held, "--judge", judge, "--out", "loop", "--rounds", "1", "-k", "6",
               "--eval-critiques", "2", "--engine", "transformers"]  # fmt: skip
    short = [word for arg in SHORT[:-1] for word in ("--train-arg", arg)]
    told = cli.json(*command, *short)
    start, first = told["rounds"]
    assert (start["number"], start["judge"], start["pairs"]) == (0, judge, None)
    assert (first["number"], first["judge"]) == (1, "loop/round-1")
    assert first["pairs"] > 0
    assert 0 <= first["accuracy"] <= 1
    assert told["best"] == max(told["rounds"], key=lambda one: one["f1"])["judge"]
    assert resolve_judge(str(tmp_path / "loop" / "round-1")).fingerprint != resolve_judge(judge).fingerprint
    runs = cli.json("runs")
    assert cli.json(*command, *short) == told
    assert cli.json("runs") == runs


def test_options_that_cannot_be_are_refused(cli: Cli, tmp_path: Path) -> None:
    labelled = write(tmp_path / "labelled.jsonl", "more", 2)
    arguments = ["improve", labelled, "--validate", labelled, "--out", "loop"]
    assert "not KEY=VALUE" in cli(*arguments, "--train-arg", SHORT[-1], code=2).stderr
    assert "--rounds" in cli(*arguments, "--rounds", "0", code=2).stderr
    (tmp_path / "other.jsonl").write_text(Path(labelled).read_text().replace("plus 1?", "plus one?"))
    others = ["improve", "other.jsonl", *arguments[2:]]
    # The training program refuses its options before anything is judged.
    for option, words in {"learning-rat=1": "there is no option --learning-rat", "batch=0": "at least 1"}.items():
        assert words in cli(*others, "--train-arg", option, code=2).stderr
    assert "stand in the validation files" in cli(*arguments, code=3).stderr
    assert cli.json("jobs") == []
