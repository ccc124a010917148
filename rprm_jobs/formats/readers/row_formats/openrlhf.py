"""OpenRLHF: what its batch inference writes. Its step-labelled rows are read as Math-Shepherd's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rprm_jobs.formats.readers.row_formats.messages import unframed_problem, unframed_solution
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, needs, plain


def _convert(row: dict[str, Any], context: ReadContext) -> Iterator[Plain]:
    yield plain(
        row,
        ("id", "input", "output"),
        id=row.get("id"),
        problem=unframed_problem(row["input"], context),
        solution=unframed_solution(row["output"], context),
    )


FORMAT = RowFormat(
    "openrlhf", "OpenRLHF's batch inference", needs("input: text", "output: text"), _convert, unless=("instruction",)
)
