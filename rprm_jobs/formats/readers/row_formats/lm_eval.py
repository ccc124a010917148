"""lm-evaluation-harness: `samples_*.jsonl`. A document stands there once for each filter; its first one is read.

The problem is the document's own field where it has one that is known, else the prompt as it was sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from rprm_jobs.formats.readers.bad_row import BadRow, LeftOut, kind_of
from rprm_jobs.formats.readers.row_formats.messages import last_of, unframed_solution
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, needs, plain

_PROBLEMS = ("problem", "question", "Question", "prompt", "input", "query")
_ANSWERS = ("answer", "target", "solution")


def make() -> RowFormat:
    """A format of its own for each file, since the first filter that it meets is the one that counts there."""
    filters: list[Any] = []

    def convert(row: dict[str, Any], context: ReadContext) -> Iterator[Plain | BadRow]:
        filters.append(row.get("filter")) if not filters else None
        if row.get("filter") != filters[0]:
            raise LeftOut("rows of a further filter")
        return _samples(row, context)

    return RowFormat(
        "lm-eval", "samples of lm-evaluation-harness", needs("doc_id: id", "doc: object", "resps: list"), convert
    )


def _samples(row: dict[str, Any], context: ReadContext) -> Iterator[Plain | BadRow]:
    doc = row["doc"]
    problem = next((doc[name] for name in _PROBLEMS if type(doc.get(name)) is str), None) or _prompt(row)
    texts = row["resps"][0] if row["resps"] and type(row["resps"][0]) is list else row["resps"]
    used = ("doc_id", "doc", "resps", "arguments", "target", "filtered_resps")
    answer = next((doc[name] for name in _ANSWERS if name in doc), row.get("target"))
    for number, text in enumerate(texts):
        if type(text) is not str:
            yield BadRow(f"resps: entry {number + 1} is {kind_of(text)}, not a text")
            continue
        id_ = f"{row['doc_id']}#{number}" if len(texts) > 1 else str(row["doc_id"])
        solution = unframed_solution(text, context)
        yield plain(row, used, id=id_, problem=problem, solution=solution, answer=answer)


def _prompt(row: dict[str, Any]) -> str:
    """The text of the first request: in a list of arguments, or as a file holds them (gen_args_0.arg_0).

    Of a chat endpoint's request the text is its messages as JSON, in a list of its own.
    """
    value = row.get("arguments")
    for _ in range(5):
        if type(value) is str:
            return _user_turn(value)
        if type(value) is list and value:
            value = value[0]
        elif type(value) is dict:
            value = value.get("gen_args_0", value.get("arg_0"))
    raise BadRow(f"doc has none of the fields {', '.join(_PROBLEMS)}, and arguments hold no text")


def _user_turn(text: str) -> str:
    if not text.startswith("[{"):
        return text
    try:
        return last_of(json.loads(text), "user") or text
    except ValueError:
        return text
