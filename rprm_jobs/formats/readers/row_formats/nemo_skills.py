"""NeMo-Skills: `output*.jsonl` of its generation, also after its evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rprm_jobs.formats.readers.row_formats.messages import unframed_solution
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, needs, plain


def _convert(row: dict[str, Any], context: ReadContext) -> Iterator[Plain]:
    name = "problem" if row.get("problem") is not None else "question"
    reasoning = row.get("reasoning_content")
    yield plain(
        row,
        ("id", name, "generation", "expected_answer", "reasoning_content", "_full_generation"),
        id=row.get("id"),
        problem=row[name],
        solution=unframed_solution(row["generation"], context),
        reasoning=reasoning if type(reasoning) is str else None,
        answer=row.get("expected_answer"),
    )


FORMAT = RowFormat(
    "nemo-skills", "NeMo-Skills' generations", needs("problem|question: text", "generation: text"), _convert
)
