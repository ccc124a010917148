"""NeMo-Skills: `output*.jsonl` of its generation, also after its evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rprm_jobs.formats.readers.row_formats.messages import unframed_solution
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, needs, plain


def _convert(row: dict[str, Any], context: ReadContext) -> Iterator[Plain]:
    name = "problem" if row.get("problem") is not None else "question"
    yield plain(
        row,
        ("id", name, "generation", "expected_answer", "reasoning_content", "_full_generation"),
        id=row.get("id"),
        problem=row[name],
        solution=unframed_solution(row["generation"], context),
        reasoning=_reasoning(row),
        answer=row.get("expected_answer"),
    )


def _reasoning(row: dict[str, Any]) -> str | None:
    """What came apart from the answer, or was taken off it: `_full_generation` still has it then."""
    reasoning, full = row.get("reasoning_content"), row.get("_full_generation")
    if type(reasoning) is str:
        return reasoning
    if type(full) is not str or "</think>" not in full:
        return None
    return full.partition("</think>")[0].strip().removeprefix("<think>").strip() or None


FORMAT = RowFormat(
    "nemo-skills", "NeMo-Skills' generations", needs("problem|question: text", "generation: text"), _convert
)
