"""AReaL: the dumps of its rollouts, with the special tokens of the chat template in both texts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rprm_jobs.formats.readers.row_formats.messages import unframed_problem, unframed_solution
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, needs, plain


def _convert(row: dict[str, Any], context: ReadContext) -> Iterator[Plain]:
    yield plain(
        row,
        ("task_id", "sample_idx", "prompt", "completion"),
        id=f"{row['task_id']}#{row['sample_idx']}",
        problem=unframed_problem(row["prompt"], context),
        solution=unframed_solution(row["completion"], context),
    )


FORMAT = RowFormat(
    "areal",
    "AReaL's dumps of rollouts",
    needs("task_id: id", "sample_idx: id", "prompt: text", "completion: text"),
    _convert,
)
