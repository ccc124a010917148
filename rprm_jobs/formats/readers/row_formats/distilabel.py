"""distilabel: `instruction` or `messages`, and `generation`, or `generations` where the step grouped them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rprm_jobs.formats.readers.bad_row import BadRow, LeftOut, kind_of
from rprm_jobs.formats.readers.row_formats.messages import problem_of
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, needs, plain


def _convert(row: dict[str, Any], context: ReadContext) -> Iterator[Plain | BadRow | LeftOut]:
    name = "generation" if "generation" in row else "generations"
    generations = row.get(name)
    if generations is None:
        raise LeftOut("rows whose generation failed")
    texts = generations if type(generations) is list else [generations]
    asked = "instruction" if row.get("instruction") is not None else "messages"
    problem = problem_of(row[asked], context)
    if problem is None:
        raise BadRow("messages have no user message")
    used = ("id", asked, name, "distilabel_metadata")
    for number, text in enumerate(texts):
        if text is None:
            yield LeftOut("rows whose generation failed")
        elif type(text) is not str:
            yield BadRow(f"{name} holds {kind_of(text)}, not a text")
        else:
            id_ = row.get("id")
            numbered = id_ if id_ is None or len(texts) == 1 else f"{id_}#{number}"
            yield plain(row, used, id=numbered, problem=problem, solution=text)


FORMAT = RowFormat(
    "distilabel",
    "distilabel's text generation",
    needs("instruction|messages: texts", "generation|generations|distilabel_metadata"),
    _convert,
    unless=("output",),
)
