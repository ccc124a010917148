"""datatrove: documents with `metadata.rollout_results` (earlier `inference_results`), one rollout a result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rprm_jobs.formats.readers.bad_row import BadRow, LeftOut, kind_of
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, needs, plain

_RESULTS = ("rollout_results", "inference_results")


def _convert(row: dict[str, Any], _context: ReadContext) -> Iterator[Plain | BadRow | LeftOut]:
    results = next(row["metadata"][name] for name in _RESULTS if type(row["metadata"].get(name)) is list)
    if not results:
        raise LeftOut("documents without a rollout")
    document = {k: v for k, v in row["metadata"].items() if k not in _RESULTS}
    for number, result in enumerate(results):
        if type(result) is dict and result.get("error") is not None and "text" not in result:
            yield LeftOut("requests that failed")
            continue
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
    needs("text: text", "id: id", "metadata.rollout_results|metadata.inference_results: list"),
    _convert,
)
