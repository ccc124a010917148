"""ThinkPRM-1K: `prefix_steps` with a + or - each; the chain of thought that judged them stays in the metadata."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rprm_jobs.formats.readers.bad_row import BadRow
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, needs, plain

_MARKS = {"+": True, "-": False}


def _convert(row: dict[str, Any], _context: ReadContext) -> Iterator[Plain]:
    labels = [_MARKS.get(mark) if type(mark) is str else None for mark in row["gt_step_labels"]]
    if None in labels:
        raise BadRow(f"gt_step_labels: entry {labels.index(None) + 1} is neither + nor -")
    yield plain(
        row,
        ("id", "problem", "prefix", "prefix_steps", "gt_step_labels"),
        id=row.get("id"),
        problem=row["problem"],
        steps=row["prefix_steps"],
        step_labels=labels,
    )


FORMAT = RowFormat(
    "thinkprm",
    "ThinkPRM's training data",
    needs("problem: text", "prefix_steps: list", "gt_step_labels: list"),
    _convert,
)
