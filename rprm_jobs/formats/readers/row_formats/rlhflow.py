"""RLHFlow: a dialogue in which each user turn is a step and each assistant turn is + or -.

The first user turn is the problem and step 1 with a space between: they are parted at "Step 1:", nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rprm_jobs.formats.readers.bad_row import BadRow
from rprm_jobs.formats.readers.row_formats.messages import content_of, role_of
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, needs, plain

_FIRST_STEP = re.compile(r"\s*Step 1\s*:")
_MARKS = {"+": True, "-": False}


def _is_row(row: dict[str, Any]) -> bool:
    """Whether the first answer is one of the two labels."""
    turns = row.get("conversations")
    second = turns[1] if type(turns) is list and len(turns) > 1 else None
    return type(second) is dict and second.get("content", second.get("value")) in ("+", "-")


def _convert(row: dict[str, Any], _context: ReadContext) -> Iterator[Plain]:
    turns = row["conversations"]
    texts = [content_of(turn).strip() for turn in turns]
    roles = [role_of(turn) for turn in turns]
    if len(turns) % 2 or roles != ["user", "assistant"] * (len(turns) // 2):
        raise BadRow("conversations do not alternate between user and assistant")
    labels = [_MARKS.get(text) for text in texts[1::2]]
    if None in labels:
        raise BadRow(f"assistant turn {labels.index(None) + 1} is neither + nor -")
    first = _FIRST_STEP.search(texts[0])
    if first is None or not first.start():
        raise BadRow("the first user turn has no 'Step 1:', so the problem's end cannot be known")
    steps = [texts[0][first.start() :].strip(), *texts[2::2]]
    problem = texts[0][: first.start()].strip()
    yield plain(row, ("id", "conversations"), id=row.get("id"), problem=problem, steps=steps, step_labels=labels)


FORMAT = RowFormat("rlhflow", "RLHFlow's PRM data", needs("conversations: messages"), _convert, recognise=_is_row)
