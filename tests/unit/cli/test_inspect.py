"""`inspect`: what it shows, in a pipe, at 80 columns, and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rprm_jobs.cli import app
from rprm_jobs.errors import RprmError
from rprm_jobs.formats.inspection import Histogram

ROWS: list[Any] = [
    {"input": "P?", "output": "One is long. " * 20 + "\n\nTwo.", "gts": "4", "score": 1.0, "step": 3},
    {"input": "Q?", "output": "\n\n".join("abcdefghijk"), "gts": "4", "score": 1.0, "step": 3},
    {"input": "R?", "gts": "4", "score": 1.0, "step": 3},
]


def inspect(folder: Path, *options: str, rows: list[Any] | None = None, code: int = 0) -> str:
    path = folder / "dump.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (ROWS if rows is None else rows)))
    result = CliRunner().invoke(app, ["inspect", str(path), *options])
    if isinstance(result.exception, RprmError):
        if result.exception.exit_code != code:
            raise result.exception
        return result.stdout
    assert result.exit_code == code, result.output
    return result.stdout


def test_it_shows_format_rows_lengths_and_refusals(tmp_path: Path) -> None:
    page = inspect(tmp_path)
    assert page.startswith("read as verl (verl's dumps of rollouts and of validation) by input, output, score, step")
    assert "dump.jsonl:2  (" in page
    assert "    0   One is long." in page
    assert "... and 3 more steps" in page
    assert "steps a solution: 6.5 on average, 11 at most, 13 in all" in page
    assert "2 solutions, 1 row would be refused" in page
    assert (
        f"{tmp_path / 'dump.jsonl'}:3: no format fits; nearest is verl (by input, score, step): missing: output" in page
    )
    assert "\x1b[" not in page
    assert max(len(line) for line in page.splitlines() if line.startswith("    ")) <= 100


def test_repeated_faults_are_grouped_and_nothing_to_judge_is_refused(tmp_path: Path) -> None:
    page = inspect(tmp_path, rows=[{"nonsense": 1}] * 40, code=3)
    assert "0 solutions, 40 rows would be refused" in page
    assert page.count("dump.jsonl:") == 1
    assert "(and 39 more like it, the last in line 40)" in page


def test_the_histogram_has_its_empty_classes_and_none_beyond() -> None:
    histogram = Histogram()
    for value in (1, 1, 2, 4, 3, 17):
        histogram.add(value)
    assert histogram.rows() == [(0, 1, 2), (2, 2, 1), (3, 4, 2), (5, 8, 0), (9, 16, 0), (17, 32, 1)]
    assert (histogram.total, histogram.most, histogram.count) == (28, 17, 6)


def test_as_json_and_only_the_first_rows(tmp_path: Path) -> None:
    value = json.loads(inspect(tmp_path, "--json", "--rows", "1", "--show", "1"))
    assert (value["complete"], value["solutions"], value["refused"]) == (False, 1, 0)
    assert value["rows"][0]["steps"][1] == "Two."
    assert value["rows"][0]["metadata"]["step_offsets"] == [[0, 259], [262, 266]]
    assert value["reading"]["splitter"] == {"name": "blank-lines", "version": 2}
    assert value["steps"]["classes"] == [{"from": 2, "to": 2, "count": 1}]


def test_labels_stand_beside_their_steps(tmp_path: Path) -> None:
    row = {"id": "a", "problem": "P?", "steps": ["x", "y", "z"], "step_labels": [True, False, None]}
    page = inspect(tmp_path, rows=[row])
    assert [line for line in page.splitlines() if line.startswith("    ")] == ["    0 + x", "    1 - y", "    2   z"]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--map", "problem=input"], "--map needs either steps or solution"),
        (["--map", "problem"], "maps nothing"),
        (["--map", "problem=input,solution=output", "--format", "verl"], "both say what the rows are"),
        (["--format", "vrel"], "--format vrel is no format"),
        (["--id", "random"], "--id random is no rule"),
        (["--split-steps", "words"], "--split-steps words is no rule"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path: Path, options: list[str], what: str) -> None:
    with pytest.raises(RprmError, match=what):
        inspect(tmp_path, *options)


def test_mapped_fields_may_lead_into_a_row(tmp_path: Path) -> None:
    row = {"task": {"q": "P?"}, "out": [["One."]], "uid": 7}
    page = json.loads(
        inspect(tmp_path, "--json", "--map", "problem=task.q,solution=out.0.0", "--map", "id=uid", rows=[row])
    )
    assert (page["rows"][0]["id"], page["rows"][0]["problem"], page["rows"][0]["steps"]) == ("7", "P?", ["One."])
    assert page["reading"]["map"] == {"problem": "task.q", "solution": "out.0.0", "id": "uid"}
    (refusal,) = json.loads(inspect(tmp_path, "--json", "--map", "problem=a,solution=b", rows=[row], code=3))[
        "refusals"
    ]
    assert refusal["reason"] == "--map names a, b, which the row has not; its fields are 'out', 'task', 'uid'"
