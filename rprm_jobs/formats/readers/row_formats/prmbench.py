"""PRMBench: the modified process of each class, or the control's own steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rprm_jobs.errors import InputError
from rprm_jobs.evaluation import prmbench_rows
from rprm_jobs.formats.readers.bad_row import BadRow
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, needs


def prmbench_row(row: dict[str, Any]) -> Plain:
    """The row under the names of a plain one. Raises BadRow."""
    try:
        return prmbench_rows.solution_row(row)
    except InputError as error:
        raise BadRow(error.what) from error


def _convert(row: dict[str, Any], _context: ReadContext) -> Iterator[Plain]:
    yield prmbench_row(row)


FORMAT = RowFormat(
    "prmbench",
    "PRMBench",
    needs("idx", "classification"),
    _convert,
    recognise=prmbench_rows.is_row,
    empty_steps=True,
)
