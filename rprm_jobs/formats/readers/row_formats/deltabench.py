"""DeltaBench: long traces in sections; the wrong ones are those of both lists of numbers, which count from 1."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rprm_jobs.formats.readers.bad_row import BadRow, kind_of
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, needs, plain

_SECTION = re.compile(r"^[ \t]*section\s*(\d+)\s*:", re.IGNORECASE | re.MULTILINE)
_LIST = re.compile(r"\[\s*(?:\d{1,9}\s*(?:,\s*\d{1,9}\s*)*)?\]", re.ASCII)
_CONTENTS = ("sections", "sections_content", "section_content")
_NUMBERS = ("reason_error_section_numbers", "reason_unuseful_section_numbers")


def _convert(row: dict[str, Any], _context: ReadContext) -> Iterator[Plain]:
    filled = [name for name in _CONTENTS if row.get(name) is not None]
    # The list says where sections end; the text, whose sections may quote such a header, does only where it is alone.
    name = next((name for name in filled if type(row[name]) is list), filled[-1])
    steps = _sections(row[name], name)
    wrong = {number for field in _NUMBERS for number in _numbers(row.get(field), field)}
    outside = sorted(number for number in wrong if not 1 <= number <= len(steps))
    if outside:
        raise BadRow(f"section {outside[0]} is named as wrong, and there are {len(steps)}")
    yield plain(
        row,
        ("id", "question", *_CONTENTS),
        id=row.get("id"),
        problem=row["question"],
        steps=steps,
        label=min(wrong, default=0) - 1,
        step_labels=[number not in wrong for number in range(1, len(steps) + 1)],
    )


def _sections(value: Any, name: str) -> list[Any]:
    if type(value) is list:
        return [_content(item) if type(item) is dict else item for item in value]
    if type(value) is not str:
        raise BadRow(f"{name} is {kind_of(value)}, not a text or a list")
    heads = list(_SECTION.finditer(value))
    if not heads:
        raise BadRow(f"{name} has no 'section1:'")
    if [int(head[1]) for head in heads] != list(range(1, len(heads) + 1)):
        raise BadRow(f"the sections of {name} are not numbered 1 to {len(heads)}")
    ends = [head.start() for head in heads[1:]] + [len(value)]
    return [value[head.end() : end].strip() for head, end in zip(heads, ends, strict=True)]


def _content(section: dict[str, Any]) -> Any:
    return next((section[name] for name in ("content", "section", "text") if section.get(name) is not None), None)


def _numbers(value: Any, field: str) -> list[int]:
    """The numbers of a list, also where they, or all of it (as in a CSV), are texts. Raises BadRow."""
    if value is None or value == "":
        return []
    if type(value) is str and _LIST.fullmatch(value):
        value = re.findall(r"\d+", value)
    if type(value) is not list:
        raise BadRow(f"{field} is {kind_of(value)}, not a list")
    for item in value:
        if type(item) is not int and not (type(item) is str and item.strip().isdecimal() and len(item) < 10):
            raise BadRow(f"{field} holds {kind_of(item)} that is no whole number")
    return [int(item) for item in value]


FORMAT = RowFormat(
    "deltabench",
    "DeltaBench",
    needs("question: text", "sections|sections_content|section_content", "reason_error_section_numbers"),
    _convert,
)
