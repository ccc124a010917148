"""VersaPRM's data: a question with several chains of thought, each with steps and their labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rprm_jobs.formats.readers.bad_row import BadRow, kind_of
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, needs, plain


def _convert(row: dict[str, Any], _context: ReadContext) -> Iterator[Plain | BadRow]:
    chains = row["chain_of_thoughts"]
    own = row.get("id", row.get("question_id"))
    for number, chain in enumerate(chains):
        if type(chain) is not dict or type(chain.get("steps")) is not list:
            yield BadRow(f"chain {number + 1} has no list of steps")
            continue
        labels = chain.get("labels")
        if labels is not None and type(labels) is not list:
            yield BadRow(f"chain {number + 1}: labels is {kind_of(labels)}, not a list")
            continue
        numbered = own if own is None or len(chains) == 1 else f"{own}#{number}"
        rest = {**row, **{k: v for k, v in chain.items() if k not in ("steps", "labels")}}
        yield plain(
            rest,
            ("id", "question_id", "question", "chain_of_thoughts"),
            id=numbered,
            problem=row["question"],
            steps=chain["steps"],
            step_labels=labels,
        )


FORMAT = RowFormat("versaprm", "VersaPRM's data", needs("question: text", "chain_of_thoughts: list"), _convert)
