"""This package's own rows: `problem` (or `question`) with `steps`, or with `solution` (or `response`) to be cut.

Rows of ProcessBench are such rows as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rprm_jobs.formats.readers.bad_row import BadRow
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, needs

_SHOWN = (("problem", "question"), ("solution", "response"))


def own_row(row: dict[str, Any]) -> Plain:
    """The row under the names of a plain one. Raises BadRow where two fields say different things."""
    _refuse_ambiguous(row)
    result = dict(row)
    if result.get("steps", ...) is None and ("solution" in row or "response" in row):
        del result["steps"]
    for name, other in _SHOWN:
        if result.get(name) is None and other in result:
            result[name] = result.pop(other)
    return result


def _refuse_ambiguous(row: dict[str, Any]) -> None:
    """Which of two texts is meant cannot be guessed: `solution` beside `response` is often a reference's."""
    if _differ(row, "question", "problem"):
        raise BadRow(
            "fields problem and question differ: keep the one to be judged, or choose it with --map problem=NAME"
        )
    if row.get("steps") is None and _differ(row, "solution", "response"):
        raise BadRow(
            "fields solution and response differ: keep the one to be judged, or choose it with --map solution=NAME"
        )


def _differ(row: dict[str, Any], first: str, second: str) -> bool:
    return row.get(first) is not None and row.get(second) is not None and row[first] != row[second]


def _convert(row: dict[str, Any], _context: ReadContext) -> Iterator[Plain]:
    yield own_row(row)


def _is_row(row: dict[str, Any]) -> bool:
    """Not where a list of generations stands beside the solution, which then is a reference (OpenR1-Math, say)."""
    return row.get("steps") is not None or type(row.get("generations")) is not list


FORMAT = RowFormat(
    "rprm",
    "this package's own rows",
    needs("problem|question", "steps|solution|response"),
    _convert,
    recognise=_is_row,
    rollouts=False,
)
PROCESSBENCH = RowFormat(
    "processbench",
    "ProcessBench",
    needs("id: id", "generator: text", "problem", "steps", "final_answer_correct", "label"),
    _convert,
    empty_steps=True,
)
