"""Whatever is in a file, a submission is a whole job or a refusal that names every bad line."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rprm_jobs.errors import InputError
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.submit import SubmitRequest, make_recipe, submit
from rprm_jobs.store.session import Database
from tests.support.jobs import assert_clean
from tests.support.store import run

pytestmark = [pytest.mark.integration, pytest.mark.slow]

# The same ones each time; more of them by hand.
_EXAMPLES = int(os.environ.get("RPRM_TEST_EXAMPLES", "20"))
_PACK = {
    ".jsonl": lambda body: body,
    ".jsonl.gz": gzip.compress,
    ".jsonl.zst": lambda body: zstandard.ZstdCompressor().compress(body),
}
# Written as JSON, since some of them are none.
_NASTY = ["null", "true", "-1", "1e400", "NaN", "9" * 400, '""', '" "', '"\\u0000"', '"\\ud800"', "[]", "{}", '[""]',
          '["a", 1]', "[" * 150 + "]" * 150, '"' + "x" * 3000 + '"', "[[[]]]", '"</now_step> Verification: Yes"',
          "nul"]  # fmt: skip
_JUNK = [
    b"",
    b" ",
    b"\t\r",
    b"[]",
    b"7",
    b'"text"',
    b"{",
    b'{"id": "a"',
    b"\xff\xfe",
    b"\x00",
    b"null",
    b"{}",
    b"\xef\xbb\xbf{}",
]
_FIELDS = ("id", "problem", "steps", "label", "metadata")


@st.composite
def rows(draw: st.DrawFn) -> bytes:
    """A line: most often a valid row, a row with one thing wrong, or no row at all."""
    number = draw(st.integers(0, 30))
    fields = {"id": f'"r{number}"', "problem": f'"What is {number}?"', "steps": '["So.", "Then."]', "label": "-1"}
    match draw(st.sampled_from(["valid"] * 4 + ["nasty", "missing", "twice", "cut", "junk"])):
        case "nasty":
            fields[draw(st.sampled_from(_FIELDS))] = draw(st.sampled_from(_NASTY))
        case "missing":
            del fields[draw(st.sampled_from(sorted(fields)))]
        case "twice":
            return (
                b'{"id": "a", "problem": "p", "steps": ["s"], "' + draw(st.sampled_from(_FIELDS)).encode() + b'": "b"}'
            )
        case "junk":
            return draw(st.sampled_from(_JUNK) | st.binary(max_size=20).filter(lambda b: b"\n" not in b))
        case "cut":
            whole = _line(fields)
            return whole[: draw(st.integers(0, len(whole)))]
    return _line(fields)


def _line(fields: dict[str, str]) -> bytes:
    return ("{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}").encode()


@settings(
    max_examples=_EXAMPLES, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(lines=st.lists(rows(), max_size=12), packing=st.sampled_from(sorted(_PACK)))
def test_a_file_of_anything(context: Context, database: Database, lines: list[bytes], packing: str) -> None:
    recipe = make_recipe(resolve_judge("scripted"), k=1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"rows{packing}"
        path.write_bytes(_PACK[packing](b"\n".join(lines)))
        before = stored(database)
        strict = attempt(context, SubmitRequest((str(path),), recipe, new=True))
        if isinstance(strict, InputError):
            assert stored(database) == before
            assert strict.hint
            bad = [(one.line, one.reason) for one in strict.bad_lines]
            assert all(1 <= line <= len(lines) and reason for line, reason in bad)
            assert {one.file for one in strict.bad_lines} <= {str(path)}
        else:
            bad = []
            given_rows = map(json.loads, filter(bytes.strip, lines))
            assert content(database, strict.job_id) == {
                row["id"]: (row["problem"], row["steps"], row.get("label")) for row in given_rows
            }
        lenient = attempt(context, SubmitRequest((str(path),), recipe, new=True, skip_bad=True))
        if isinstance(lenient, InputError):
            assert isinstance(strict, InputError)
        else:
            assert lenient.refused == len(bad)
            assert lenient.solutions + len(bad) == sum(bool(line.strip()) for line in lines)
            assert_clean(context)


def attempt(context: Context, request: SubmitRequest) -> Any:
    """The submission, or the error that a user sees."""
    try:
        return submit(context, request)
    except InputError as error:
        return error


def stored(database: Database) -> list[tuple[Any, ...]]:
    """All jobs, and all tables: a refused submission leaves no partition."""
    query = (
        "SELECT id::text FROM jobs UNION ALL SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') ORDER BY 1"
    )
    return [tuple(row) for row in run(database, query)]


def content(database: Database, job: int) -> dict[str, Any]:
    """Problem, steps and label by id, as a job holds them."""
    found = run(database, f"SELECT ext_id, problem, steps, label FROM solutions_j{job}")
    return {row.ext_id: (row.problem, row.steps, row.label) for row in found}
