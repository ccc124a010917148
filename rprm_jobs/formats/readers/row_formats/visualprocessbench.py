"""VisualProcessBench: its problems need their images, which no judge here sees, so that every row is left out."""

from __future__ import annotations

from typing import Any

from rprm_jobs.formats.readers.bad_row import LeftOut
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, needs


def _convert(_row: dict[str, Any], _context: ReadContext) -> list[Plain]:
    raise LeftOut("problems that need an image")


FORMAT = RowFormat(
    "visualprocessbench",
    "VisualProcessBench",
    needs("image", "question", "response.process_correctness: list"),
    _convert,
)
