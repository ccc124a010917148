"""TRL: the completions that its trainers log as Parquet, and its step-labelled data (prompt, completions, labels)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rprm_jobs.formats.readers.bad_row import BadRow, kind_of
from rprm_jobs.formats.readers.row_formats.messages import problem_of, solution_of
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, needs, plain


def _completion(row: dict[str, Any], context: ReadContext) -> Iterator[Plain]:
    problem = problem_of(row["prompt"], context)
    if problem is None:
        raise BadRow("prompt has no user message")
    solution, reasoning = solution_of(row["completion"], context)
    yield plain(
        row,
        ("id", "prompt", "completion"),
        id=row.get("id"),
        problem=problem,
        solution=solution,
        reasoning=reasoning,
    )


def _stepwise(row: dict[str, Any], context: ReadContext) -> Iterator[Plain]:
    problem = problem_of(row["prompt"], context)
    if problem is None:
        raise BadRow("prompt has no user message")
    yield plain(
        row,
        ("id", "prompt", "completions", "labels"),
        id=row.get("id"),
        problem=problem,
        steps=row["completions"],
        step_labels=[_label(number, label) for number, label in enumerate(row["labels"], 1)],
    )


def _label(number: int, value: Any) -> bool | None:
    """TRL's labels are true and false, or 1 and 0 (as whole or real numbers): 0 is a wrong step here."""
    if value is None or isinstance(value, bool):
        return value
    if type(value) in (int, float) and value in (0, 1):
        return bool(value)
    shown = repr(value)[:40] if type(value) in (int, float) else kind_of(value)
    raise BadRow(f"labels: entry {number} is {shown}, not one of true, false, 1, 0")


COMPLETIONS = RowFormat(
    "trl",
    "completions that TRL's trainers log",
    needs("prompt: texts", "completion: texts"),
    _completion,
    unless=("chosen", "rejected"),
)
STEPWISE = RowFormat(
    "trl-stepwise",
    "TRL's stepwise supervision",
    needs("prompt: texts", "completions: list", "labels: list"),
    _stepwise,
)
