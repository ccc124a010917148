"""Problems as they come in: good rows whole, bad rows refused by file, line and field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.errors import BadLine, ConfigError
from rprm_jobs.formats.readers.choices import make_read_options
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


def chosen(tmp_path: Path, row: object, **options: Any) -> ProblemRow | BadLine:
    file = tmp_path / "problems.jsonl"
    file.write_text(json.dumps(row) + "\n")
    (problem,) = read_problem_rows([str(file)], Limits(), make_read_options(problems=True, **options))
    return problem


def test_rows_of_any_shape_are_read_with_a_map(tmp_path: Path) -> None:
    row = {"task": {"prompt": [{"role": "user", "content": "1 + 1?"}]}, "target": ["2", "two"], "uid": 5, "level": 3}
    problem = chosen(tmp_path, row, fields={"problem": "task.prompt", "answer": "target", "id": "uid"})
    assert isinstance(problem, ProblemRow)
    assert (problem.id, problem.problem, problem.metadata["answer"]) == ("5", "1 + 1?", ["2", "two"])
    assert problem.metadata["level"] == 3
    missing = chosen(tmp_path, row, fields={"problem": "prompt"})
    assert isinstance(missing, BadLine)
    assert "--map names prompt, which the row has not" in missing.reason


@pytest.mark.parametrize("format", ["auto", "verl"])
def test_of_solved_problems_the_problem_is_taken(tmp_path: Path, format: str) -> None:
    row = {"input": "1 + 1?", "output": "2", "score": 1.0, "step": 3, "gts": "2"}
    problem = chosen(tmp_path, row, format=format)
    assert isinstance(problem, ProblemRow)
    assert (problem.problem, problem.metadata["answer"]) == ("1 + 1?", "2")
    assert "solution" not in problem.metadata


def test_a_format_that_is_named_and_a_map_that_lacks_the_problem_are_refused(tmp_path: Path) -> None:
    refused = chosen(tmp_path, {"problem": "1 + 1?"}, format="verl")
    assert isinstance(refused, BadLine)
    assert "no row of verl: missing: input, output, score, step" in refused.reason
    with pytest.raises(ConfigError, match="which field is the problem"):
        make_read_options(problems=True, fields={"answer": "x"})
    with pytest.raises(ConfigError, match="knows no 'solution'"):
        make_read_options(problems=True, fields={"problem": "x", "solution": "y"})
    unknown = chosen(tmp_path, {"prompt": "1 + 1?"})
    assert isinstance(unknown, BadLine)
    assert "its fields are 'prompt'; choose one with --map problem=NAME" in unknown.reason


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
