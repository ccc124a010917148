"""Math-Shepherd: the steps of `input` end in a tag, and `label` is the same text with + or - in each tag's place.

OpenRLHF's form is read too: there `label` (or `value`) is the list of the tags' labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rprm_jobs.formats.readers.bad_row import BadRow, kind_of
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, needs, plain
from rprm_jobs.words import counted

_TAG = "\u043a\u0438"
_FIRST_STEP = re.compile(r"\s*Step 1\s*:")
_LABELS = {"+": True, "-": False, 1: True, 0: False, "1": True, "0": False}


def _convert(row: dict[str, Any], _context: ReadContext) -> Iterator[Plain]:
    text = row["input"]
    first = _FIRST_STEP.search(text)
    if _TAG not in text or first is None:
        missing = f"the tag {_TAG}" if _TAG not in text else "'Step 1:', which ends the problem"
        raise BadRow(f"input lacks {missing}")
    problem, solution = text[: first.start()].strip(), text[first.start() :]
    *steps, rest = solution.split(_TAG)
    if rest.strip():
        raise BadRow(f"input goes on after its last {_TAG}")
    name = "label" if "label" in row else "value"
    yield plain(
        row,
        ("id", "input", name),
        id=row.get("id"),
        problem=problem,
        steps=[step.strip() for step in steps],
        step_labels=_labels(row[name], text[: first.start()], steps),
    )


def _labels(value: Any, head: str, steps: list[str]) -> list[bool]:
    marks = value if type(value) is list else _marks(value, head, steps)
    if len(marks) != len(steps):
        raise BadRow(f"{counted(len(marks), 'label')} for {counted(len(steps), 'step')}")
    labels = [_LABELS.get(mark) if type(mark) in (str, int) else None for mark in marks]
    if None in labels:
        raise BadRow(f"label {labels.index(None) + 1} is neither + nor -")
    return [bool(label) for label in labels]


def _marks(value: Any, head: str, steps: list[str]) -> list[str]:
    """The character that stands in each tag's place. Raises BadRow where the two texts differ elsewhere."""
    if type(value) is not str:
        raise BadRow(f"label is {kind_of(value)}, not a text")
    if not value.startswith(head):
        raise BadRow("input and label do not begin with the same problem")
    at, marks = len(head), []
    for number, step in enumerate(steps, 1):
        if value[at : at + len(step)] != step:
            raise BadRow(f"input and label differ in step {number}")
        at += len(step)
        marks.append(value[at : at + 1])
        at += 1
    if value[at:].strip():
        raise BadRow("label goes on after its last step")
    return marks


FORMAT = RowFormat(
    "math-shepherd",
    "Math-Shepherd's rows, or OpenRLHF's with step labels",
    needs("input: text", "label|value: texts"),
    _convert,
    unless=("output",),
)
