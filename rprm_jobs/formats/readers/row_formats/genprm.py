"""GenPRM's data: user turns are the problem and the steps, assistant turns analyses that end in a boxed Yes or No."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rprm_jobs.formats.readers.bad_row import BadRow
from rprm_jobs.formats.readers.row_formats.messages import content_of, role_of
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, needs, plain

_VERDICT = re.compile(r"\\boxed\{(Yes|No)\}")


def _is_row(row: dict[str, Any]) -> bool:
    """Whether one of the first turns is an analysis, or asks for one."""
    turns = row.get("conversations")
    if type(turns) is not list:
        return False
    texts = [turn.get("content", turn.get("value")) for turn in turns[:3] if type(turn) is dict]
    return any(type(text) is str and ("<analyze>" in text or "<output>" in text) for text in texts)


def _convert(row: dict[str, Any], _context: ReadContext) -> Iterator[Plain]:
    turns = [turn for turn in row["conversations"] if role_of(turn) != "system"]
    if len(turns) % 2 or [role_of(turn) for turn in turns] != ["user", "assistant"] * (len(turns) // 2):
        raise BadRow("conversations do not alternate between user and assistant")
    users = [content_of(turn).strip() for turn in turns[::2]]
    head, blank, first = users[0].removeprefix("Question:").partition("\n\n")
    if not blank:
        raise BadRow("the first user turn has no blank line between the question and step 1")
    yield plain(
        row,
        ("id", "conversations"),
        id=row.get("id"),
        problem=head.strip(),
        steps=[first.strip(), *users[1:]],
        step_labels=[_verdict(number, content_of(turn)) for number, turn in enumerate(turns[1::2], 1)],
    )


def _verdict(number: int, text: str) -> bool | None:
    verdicts = _VERDICT.findall(text)
    if not verdicts:
        raise BadRow(f"the analysis of step {number} has no \\boxed{{Yes}} or \\boxed{{No}}")
    return bool(verdicts[-1] == "Yes")


FORMAT = RowFormat("genprm", "GenPRM's training data", needs("conversations: messages"), _convert, recognise=_is_row)
