"""PRM800K as a row format: the chosen completions as one solution; with `labelled`, every rated one as well."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rprm_jobs.formats.readers import prm800k
from rprm_jobs.formats.readers.bad_row import LeftOut
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, needs


def _convert(row: dict[str, Any], context: ReadContext) -> Iterator[Plain]:
    rows = [plain for plain in prm800k.plain_rows(row) if plain["steps"]]
    context.rated = True
    context.unlabelled += prm800k.null_ratings(row)
    if not rows and not context.labelled:
        raise LeftOut("rows without a chosen completion")
    return iter(rows if context.labelled else rows[:1])


FORMAT = RowFormat(
    "prm800k",
    "PRM800K",
    needs("question.problem|problem: text", "label.steps|steps: list"),
    _convert,
    recognise=prm800k.is_row,
)
