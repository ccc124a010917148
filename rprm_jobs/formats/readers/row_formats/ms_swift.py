"""ms-swift: `completions.jsonl`, where one line holds the lists of a whole batch side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rprm_jobs.formats.readers.bad_row import BadRow, LeftOut
from rprm_jobs.formats.readers.row_formats.messages import problem_of, solution_of
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, needs, plain


def _convert(row: dict[str, Any], context: ReadContext) -> Iterator[Plain | BadRow | LeftOut]:
    size = len(row["prompt"])
    if len(row["completion"]) != size:
        raise BadRow(f"the lists do not match: {size} in prompt, {len(row['completion'])} in completion")
    columns = {name: value for name, value in row.items() if type(value) is list and len(value) == size}
    for index in range(size):
        try:
            yield _rollout({name: column[index] for name, column in columns.items()}, context)
        except (BadRow, LeftOut) as reason:
            yield reason


def _rollout(row: dict[str, Any], context: ReadContext) -> Plain:
    problem = problem_of(row["prompt"], context)
    if problem is None:
        raise BadRow("prompt has no user message")
    solution, reasoning = solution_of(row["completion"], context)
    used = ("prompt", "completion", "messages")
    return plain(row, used, problem=problem, solution=solution, reasoning=reasoning)


FORMAT = RowFormat(
    "ms-swift", "ms-swift's completions of a batch", needs("prompt: list", "completion: list", "step: list"), _convert
)
