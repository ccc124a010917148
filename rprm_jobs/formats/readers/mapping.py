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
# Of rows that hold problems to be solved.
PROBLEM_TARGETS = ("id", "problem", "answer")


def parse_map(texts: Sequence[str], targets: Sequence[str] = TARGETS) -> dict[str, str]:
    """From the values of --map, each `ours=theirs` or several with commas between. Raises ConfigError."""
    fields: dict[str, str] = {}
    for pair in (pair for text in texts for pair in text.split(",")):
        ours, equals, theirs = (part.strip() for part in pair.partition("="))
        if not equals or not theirs or ours not in targets:
            raise ConfigError(
                f"--map {pair.strip()!r} maps nothing", hint=f"say ours=theirs, ours one of {', '.join(targets)}"
            )
        if ours in fields:
            raise ConfigError(f"--map names {ours} twice", hint="leave one of them out")
        fields[ours] = theirs
    return fields


def check_map(fields: Mapping[str, str], targets: Sequence[str] = TARGETS) -> None:
    """Raises ConfigError unless the map says what a row needs: a problem and, but of problems alone, its solution."""
    if unknown := [ours for ours in fields if ours not in targets]:
        raise ConfigError(f"--map knows no {unknown[0]!r}", hint=f"map one of {', '.join(targets)}")
    if fields and "problem" not in fields:
        raise ConfigError("--map does not say which field is the problem", hint="add problem=NAME")
    if fields and targets is TARGETS and ("steps" in fields) == ("solution" in fields):
        raise ConfigError("--map needs either steps or solution", hint="add solution=NAME, or steps=NAME for a list")


def mapped_format(fields: Mapping[str, str]) -> RowFormat:
    """The row format that reads these fields."""

    def convert(row: dict[str, Any], context: ReadContext) -> Iterator[Plain]:
        values = _mapped(row, fields, ("problem", "steps", "solution"), context)
        if type(values.get("solution")) is list:
            values["solution"], values["reasoning"] = solution_of(values["solution"], context)
        yield plain(row, {*fields.values(), "id"}, **values)

    return RowFormat("map", "the fields that --map names", (), convert, rollouts=False)


def mapped_problems(fields: Mapping[str, str]) -> RowFormat:
    """As `mapped_format`, of rows that hold problems to be solved; an `answer` may be a text or a list of texts."""

    def convert(row: dict[str, Any], context: ReadContext) -> Iterator[Plain]:
        yield plain(row, {*fields.values(), "id"}, **_mapped(row, fields, ("problem",), context))

    return RowFormat("map", "the fields that --map names", (), convert, rollouts=False)


def _mapped(
    row: dict[str, Any], fields: Mapping[str, str], needed: Sequence[str], context: ReadContext
) -> dict[str, Any]:
    values = {ours: _at(row, theirs) for ours, theirs in fields.items()}
    missing = [fields[ours] for ours in needed if ours in fields and values[ours] is None]
    if missing:
        has = ", ".join(sorted(map(ascii, row))) or "none"
        raise BadRow(f"--map names {', '.join(missing)}, which the row has not; its fields are {has[:300]}")
    if type(values["problem"]) is list:
        values["problem"] = problem_of(values["problem"], context)
    if "id" not in fields:
        values["id"] = row.get("id")
    return values


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
