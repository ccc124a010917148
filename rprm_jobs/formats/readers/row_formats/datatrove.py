"""datatrove: documents with `metadata.rollout_results`, one rollout a result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rprm_jobs.formats.readers.bad_row import BadRow, LeftOut, kind_of
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, needs, plain


def _convert(row: dict[str, Any], _context: ReadContext) -> Iterator[Plain | BadRow]:
    results = row["metadata"]["rollout_results"]
    if not results:
        raise LeftOut("documents without a rollout")
    document = {k: v for k, v in row["metadata"].items() if k != "rollout_results"}
    for number, result in enumerate(results):
        text = result if type(result) is str else result.get("text") if type(result) is dict else None
        if type(text) is not str:
            yield BadRow(f"rollout_results: entry {number + 1} is {kind_of(result)} without a text")
            continue
        rest = {**document, **(result if type(result) is dict else {})}
        reasoning = rest.pop("reasoning", None)
        yield plain(
            rest,
            ("text",),
            id=f"{row['id']}#{number}" if len(results) > 1 else row["id"],
            problem=row["text"],
            solution=text,
            reasoning=reasoning if type(reasoning) is str else None,
        )


FORMAT = RowFormat(
    "datatrove",
    "datatrove's inference",
    needs("text: text", "id: id", "metadata.rollout_results: list"),
    _convert,
)
