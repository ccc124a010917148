"""Problems as they come in: good rows whole, bad rows refused by file, line and field."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rprm_jobs.errors import BadLine
from rprm_jobs.formats.readers.problems import ProblemRow, read_problem_rows
from rprm_jobs.settings import Limits


def read(tmp_path: Path, *rows: object) -> list[ProblemRow | BadLine]:
    file = tmp_path / "problems.jsonl"
    file.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return list(read_problem_rows([str(file)], Limits()))


def test_good_rows_keep_what_they_say(tmp_path: Path) -> None:
    first, second, third = read(
        tmp_path,
        {"id": "a", "problem": "1 + 1?", "answer": "2", "level": 3},
        {"id": 7, "question": "2 + 2?", "answers": ["4", 4]},
        {"problem": "3 + 3?"},
    )
    assert isinstance(third, ProblemRow)
    assert third.id == "problems.jsonl:3"
    assert isinstance(first, ProblemRow)
    assert isinstance(second, ProblemRow)
    assert (first.id, first.problem, first.line, first.metadata) == ("a", "1 + 1?", 1, {"answer": "2", "level": 3})
    assert (second.id, second.problem, second.metadata) == ("7", "2 + 2?", {"answers": ["4", 4]})


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"id": 1.5, "problem": "x"}, "field id is a number, not a text"),
        ({"id": "a"}, "field problem (or question) is missing"),
        ({"id": "a", "problem": "  "}, "field problem is empty"),
        ({"id": "a", "problem": ["x"]}, "field problem is a list, not a text"),
        ({"id": "a", "problem": "x", "answer": {"value": 1}}, "field answer is an object"),
        ({"id": "a", "problem": "x", "answers": []}, "field answers is a list"),
        ([1], "the row is a list, not a JSON object"),
        ("{", "not JSON"),
    ],
)
def test_bad_rows_are_refused_with_their_reason(tmp_path: Path, row: object, said: str) -> None:
    (bad,) = read(tmp_path, row)
    assert isinstance(bad, BadLine)
    assert bad.line == 1
    assert said in bad.reason
