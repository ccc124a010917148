"""What a row must be, and the exact reason for each that is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.errors import BadLine
from rprm_jobs.formats import InputRow, ReadOptions, read_solutions
from rprm_jobs.settings import Limits
from rprm_jobs.types import Solution

GOOD: dict[str, Any] = {"id": "a", "problem": "p", "steps": ["one", "two"]}


def read(path: Path, *, limits: Limits | None = None, **options: Any) -> list[InputRow | BadLine]:
    return list(read_solutions((str(path),), ReadOptions(**options), limits or Limits()))


def read_line(folder: Path, line: bytes, **options: Any) -> InputRow | BadLine:
    path = folder / "in.jsonl"
    path.write_bytes(line)
    (found,) = read(path, **options)
    return found


def row(**changes: Any) -> bytes:
    made = {**GOOD, **changes}
    return json.dumps({k: v for k, v in made.items() if v is not ...}).encode()


REFUSED = [
    (b"{not json", "not JSON: Expecting property name enclosed in double quotes at column 2"),
    (b"[1, 2]", "the row is a list, not a JSON object"),
    (b"null", "the row is null, not a JSON object"),
    (row(id=1.5), "field id is a number, not a text"),
    (row(id=" "), "field id is empty"),
    (row(id="x" * 513), "field id is longer than 512 characters"),
    (row(problem=...), "no format fits; nearest is rprm (by steps): "
     "missing: problem or question; or choose fields with --map"),
    (row(problem=7), "field problem is a number, not a text"),
    (row(problem=" \n"), "field problem is empty"),
    (row(steps=...), "no format fits; nearest is rprm (by problem): "
     "missing: steps or solution or response; or choose fields with --map"),
    (b'{"text": "x", "n": 1}', "no format fits; the row has the fields 'n', 'text'; "
     "choose fields with --map problem=NAME,solution=NAME"),
    (b"{}", "no format fits; the row has no field; choose fields with --map problem=NAME,solution=NAME"),
    (row(steps="one"), "field steps is a text, not a list"),
    (row(steps=[]), "there are no steps"),
    (row(steps=["one", ""]), "step 2 is empty"),
    (row(steps=["\t", "two"]), "step 1 is empty"),
    (row(steps=["one", 2]), "step 2 is a number, not a text"),
    (row(steps=["x"] * 1001), "there are 1001 steps, more than 1000 (RPRM_MAX_STEPS); see --min-chars"),
    (row(label=2), "field label is 2, not in -1..1 (0-based first error, -1 for none)"),
    (row(label=-2), "field label is -2, not in -1..1 (0-based first error, -1 for none)"),
    (row(label=10**40), "field label is a huge number, not in -1..1 (0-based first error, -1 for none)"),
    (row(label=True), "field label is a boolean, not a whole number"),
    (row(label="1"), "field label is a text, not a whole number"),
    (row(step_labels=[1]), "field step_labels has 1 entry, not one entry for each of the 2 steps"),
    (row(step_labels={}), "field step_labels is an object, not one entry for each of the 2 steps"),
    (row(step_labels=[1, 2]), "step_labels: entry 2 is 2, not one of true, false, 1, 0, -1, null"),
    (row(problem="a\x00b"), "field 'problem' holds a NUL character"),
    (row(steps=["one", "\ud800"]), "field 'steps' holds a lone surrogate"),
    (row(meta={"deep": ["\udfff"]}), "field 'meta' holds a lone surrogate"),
    (b'{"id": "a", "id": "b", "problem": "p", "steps": ["s"]}', "field 'id' stands twice in one object"),
    (b'{"id": "a", "problem": "p", "steps": ["s"], "m": {"x": 1, "x": 2}}', "field 'x' stands twice in one object"),
    (b'{"id": "a", "problem": "p", "steps": ["s"], "m": NaN}', "NaN is not JSON"),
    (b'{"id": "a", "problem": "p", "steps": ["s"], "m": -Infinity}', "-Infinity is not JSON"),
    (b'{"id": "\xff"}', "invalid UTF-8 at byte 9"),
    (b'{"id": "a", "problem": "p", "steps": ["s"], "m": 1e400}', "the number 1e400 is too large"),
    (b"[" * 200_000, "the row is nested more than 100 deep"),
    (row(question="other"),
     "fields problem and question differ: keep the one to be judged, or choose it with --map problem=NAME"),
    (row(steps=..., solution="reference", response="rollout"),
     "fields solution and response differ: keep the one to be judged, or choose it with --map solution=NAME"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "reason"), REFUSED, ids=[reason[:40] for _, reason in REFUSED])
def test_refused_with_its_reason(tmp_path: Path, line: bytes, reason: str) -> None:
    found = read_line(tmp_path, b"\n\n" + line)
    assert found == BadLine(str(tmp_path / "in.jsonl"), 3, reason)


@pytest.mark.parametrize("inside", [b"1", b'"\\u0000"', b'"\\ud800"', b"1e400"])
def test_nesting_is_bounded_whatever_is_inside(tmp_path: Path, inside: bytes) -> None:
    line = b'{"id": "a", "problem": "p", "steps": ["s"], "m": ' + b"[" * 600 + inside + b"]" * 600 + b"}"
    found = read_line(tmp_path, line)
    assert isinstance(found, BadLine)
    assert found.reason in ("the row is nested more than 100 deep", "the number 1e400 is too large")


def test_a_huge_integer_is_refused_and_a_large_one_kept(tmp_path: Path) -> None:
    found = read_line(tmp_path, b'{"id": "a", "problem": "p", "steps": ["s"], "n": ' + b"9" * 5000 + b"}")
    assert isinstance(found, BadLine)
    assert found.reason == "an integer has too many digits"
    kept = read_line(tmp_path, row(n=10**30))
    assert isinstance(kept, InputRow)
    assert kept.solution.metadata == {"n": 10**30}


def test_limits_are_named_in_the_reason(tmp_path: Path) -> None:
    long = read_line(tmp_path, row(problem="x" * 500), limits=Limits(max_line_bytes=300))
    assert isinstance(long, BadLine)
    assert long.reason == "the line has more than 300 bytes (RPRM_MAX_LINE_BYTES)"
    text = read_line(tmp_path, row(problem="x" * 500), limits=Limits(max_text_chars=300))
    assert isinstance(text, BadLine)
    assert text.reason == "problem and steps have more than 300 characters (RPRM_MAX_TEXT_CHARS)"


ACCEPTED = [
    (row(), Solution("a", "p", ("one", "two"))),
    (row(id=7), Solution("7", "p", ("one", "two"))),
    (row(problem=..., question="q"), Solution("a", "q", ("one", "two"))),
    (row(question="p"), Solution("a", "p", ("one", "two"), metadata={"question": "p"})),
    (row(label=-1), Solution("a", "p", ("one", "two"), label=-1)),
    (row(label=None), Solution("a", "p", ("one", "two"))),
    (row(step_labels=[True, None]), Solution("a", "p", ("one", "two"), step_labels=(1, None))),
    (row(step_labels=[0, False]), Solution("a", "p", ("one", "two"), step_labels=(0, -1))),
    (row(steps=..., solution="one\n\n \n\ntwo\n"),
     Solution("a", "p", ("one", "two"), metadata={"step_offsets": [[0, 3], [8, 11]]})),
    (row(steps=..., response="one\ntwo"), Solution("a", "p", ("one\ntwo",), metadata={"step_offsets": [[0, 7]]})),
    (row(id=...), Solution("in.jsonl:1", "p", ("one", "two"))),
    (row(steps=None, solution="one"), Solution("a", "p", ("one",), metadata={"step_offsets": [[0, 3]]})),
    (row(solution="kept", more={"x": [1]}),
     Solution("a", "p", ("one", "two"), metadata={"solution": "kept", "more": {"x": [1]}})),
    (row(problem="\U0001f600 \\u0000 as text"), Solution("a", "\U0001f600 \\u0000 as text", ("one", "two"))),
]  # fmt: skip


@pytest.mark.parametrize(("line", "solution"), ACCEPTED)
def test_accepted_as_it_stands(tmp_path: Path, line: bytes, solution: Solution) -> None:
    found = read_line(tmp_path, line)
    assert isinstance(found, InputRow)
    assert found.solution == solution


def test_a_separator_of_the_users_own(tmp_path: Path) -> None:
    found = read_line(tmp_path, row(steps=..., response="one\ntwo\n\nstill two"), step_separator="\n")
    assert isinstance(found, InputRow)
    assert found.solution.steps == ("one", "two", "still two")


def test_processbench_rows_pass_unchanged(test_data: Path) -> None:
    found = read(test_data / "processbench")
    assert len(found) == 600
    assert all(isinstance(one, InputRow) for one in found)
    first = found[0]
    assert isinstance(first, InputRow)
    assert set(first.solution.metadata) == {"generator", "final_answer_correct"}
    assert sum(len(one.solution.steps) for one in found[:400] if isinstance(one, InputRow)) == 2082
