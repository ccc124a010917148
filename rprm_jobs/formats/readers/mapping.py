"""`--map problem=prompt,solution=output`: rows of any shape, by the fields that the user names.

A name may lead into an object or a list: `task.prompt`, `resps.0.0`. Messages count as the turn that is meant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rprm_jobs.errors import ConfigError
from rprm_jobs.formats.readers.bad_row import BadRow
from rprm_jobs.formats.readers.row_formats.messages import problem_of, solution_of
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, plain

TARGETS = ("id", "problem", "steps", "solution", "label", "step_labels", "answer")


def parse_map(texts: Sequence[str]) -> dict[str, str]:
    """From the values of --map, each `ours=theirs` or several with commas between. Raises ConfigError."""
    fields: dict[str, str] = {}
    for pair in (pair for text in texts for pair in text.split(",")):
        ours, equals, theirs = (part.strip() for part in pair.partition("="))
        if not equals or not theirs or ours not in TARGETS:
            raise ConfigError(
                f"--map {pair.strip()!r} maps nothing", hint=f"say ours=theirs, ours one of {', '.join(TARGETS)}"
            )
        if ours in fields:
            raise ConfigError(f"--map names {ours} twice", hint="leave one of them out")
        fields[ours] = theirs
    if fields and "problem" not in fields:
        raise ConfigError("--map does not say which field is the problem", hint="add problem=NAME")
    if fields and ("steps" in fields) == ("solution" in fields):
        raise ConfigError("--map needs either steps or solution", hint="add solution=NAME, or steps=NAME for a list")
    return fields


def mapped_format(fields: Mapping[str, str]) -> RowFormat:
    """The row format that reads these fields."""

    def convert(row: dict[str, Any], context: ReadContext) -> Iterator[Plain]:
        values = {ours: _at(row, theirs) for ours, theirs in fields.items()}
        missing = [fields[ours] for ours in ("problem", "steps", "solution") if ours in fields and values[ours] is None]
        if missing:
            has = ", ".join(sorted(map(ascii, row))) or "none"
            raise BadRow(f"--map names {', '.join(missing)}, which the row has not; its fields are {has[:300]}")
        if type(values["problem"]) is list:
            values["problem"] = problem_of(values["problem"], context)
        if type(values.get("solution")) is list:
            values["solution"], values["reasoning"] = solution_of(values["solution"], context)
        if "id" not in fields:
            values["id"] = row.get("id")
        yield plain(row, {*(theirs for theirs in fields.values()), "id"}, **values)

    return RowFormat("map", "the fields that --map names", (), convert)


def _at(row: dict[str, Any], path: str) -> Any:
    """The value at a path; a field whose own name has dots is found first."""
    if path in row:
        return row[path]
    value: Any = row
    for name in path.split("."):
        if type(value) is dict:
            value = value.get(name)
        elif (
            type(value) is list
            and name.lstrip("-").isdecimal()
            and len(name) < 10
            and -len(value) <= int(name) < len(value)
        ):
            value = value[int(name)]
        else:
            return None
    return value
