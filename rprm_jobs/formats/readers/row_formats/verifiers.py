"""verifiers: `results.jsonl` of an evaluation. `example_id` repeats, once for each rollout of the example."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rprm_jobs.formats.readers.bad_row import BadRow, LeftOut
from rprm_jobs.formats.readers.row_formats.messages import problem_of, solution_of
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, needs, plain


def _convert(row: dict[str, Any], context: ReadContext) -> Iterator[Plain]:
    if not row.get("completion"):
        raise LeftOut("rollouts without a completion")
    problem = problem_of(row["prompt"], context)
    if problem is None:
        raise BadRow("prompt has no user message")
    solution, reasoning = solution_of(row["completion"], context)
    yield plain(
        row,
        ("example_id", "prompt", "completion", "answer"),
        id=str(row["example_id"]),
        problem=problem,
        solution=solution,
        reasoning=reasoning,
        answer=row.get("answer"),
    )


FORMAT = RowFormat(
    "verifiers",
    "results of verifiers' environments",
    needs("example_id: id", "prompt: texts", "reward"),
    _convert,
    repeats=True,
)
