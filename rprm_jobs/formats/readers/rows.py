"""From one decoded JSON object to a Solution, or to the reason why it is refused.

A field is never corrected in silence: a row either is a solution as it stands or is refused with its field named.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from rprm_jobs.errors import InputError
from rprm_jobs.evaluation import prmbench_rows
from rprm_jobs.settings import Limits
from rprm_jobs.types import Solution

_BLANK_LINE = re.compile(r"\n[ \t\r]*\n")
_MAX_ID_CHARS = 512
# Booleans are what they say; ratings follow PRM800K: 1 correct, 0 neutral, -1 wrong; null is not labelled.
_STEP_LABELS: dict[Any, int | None] = {True: 1, False: -1, None: None}
_RATINGS = (-1, 0, 1)


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """`step_separator` cuts a solution's text into steps (default: blank lines); `split` names a data set's split."""

    step_separator: str | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True)
class InputRow:
    """A solution and where it stood: `line` counts from 1 (in Parquet and data sets it is the row's number)."""

    file: str
    line: int
    solution: Solution


class BadRow(Exception):
    """The row is refused; `str()` is the reason."""


def to_solution(raw: Any, options: ReadOptions, limits: Limits) -> Solution:
    """Check one decoded row. Raises BadRow with the first reason found."""
    if type(raw) is not dict:
        raise BadRow(f"the row is {kind_of(raw)}, not a JSON object")
    if prmbench_rows.is_row(raw):
        rest = _prmbench(raw)
    else:
        _refuse_ambiguous(raw)
        rest = dict(raw)
    id_ = id_of(rest.pop("id", None))
    problem = text_of(rest, "problem" if "problem" in rest else "question", missing="problem (or question)")
    steps = _steps(rest, options, limits, empty_ones=prmbench_rows.is_row(raw))
    if len(problem) + sum(map(len, steps)) > limits.max_text_chars:
        raise BadRow(f"problem and steps have more than {limits.max_text_chars} characters (RPRM_MAX_TEXT_CHARS)")
    label = _label(rest.pop("label", None), len(steps))
    step_labels = _step_labels(rest.pop("step_labels", None), len(steps))
    return Solution(id_, problem, steps, label, step_labels, rest)


def _prmbench(raw: dict[str, Any]) -> dict[str, Any]:
    """The row of PRMBench with its fields under the names that are used here."""
    try:
        return prmbench_rows.solution_row(raw)
    except InputError as error:
        raise BadRow(error.what) from error


def _refuse_ambiguous(raw: dict[str, Any]) -> None:
    """Which of two texts is meant cannot be guessed: `solution` beside `response` is often a reference's."""
    if "question" in raw and "problem" in raw and raw["question"] != raw["problem"]:
        raise BadRow("fields problem and question differ: keep the one to be judged")
    if "solution" in raw and "response" in raw and "steps" not in raw and raw["solution"] != raw["response"]:
        raise BadRow("fields solution and response differ: keep the one to be judged, or give steps")


def kind_of(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", int: "a number", float: "a number"}
    return "null" if value is None else names.get(type(value), type(value).__name__)


def id_of(value: Any) -> str:
    if type(value) is int:
        value = str(value)
    if value is None:
        raise BadRow("field id is missing: results are joined by it")
    if type(value) is not str:
        raise BadRow(f"field id is {kind_of(value)}, not a text")
    if not value.strip() or len(value) > _MAX_ID_CHARS:
        raise BadRow(f"field id is {'empty' if not value.strip() else f'longer than {_MAX_ID_CHARS} characters'}")
    return value


def text_of(rest: dict[str, Any], name: str, *, missing: str) -> str:
    if name not in rest:
        raise BadRow(f"field {missing} is missing")
    value = rest.pop(name)
    if type(value) is not str:
        raise BadRow(f"field {name} is {kind_of(value)}, not a text")
    if not value.strip():
        raise BadRow(f"field {name} is empty")
    return value


def _steps(rest: dict[str, Any], options: ReadOptions, limits: Limits, *, empty_ones: bool = False) -> tuple[str, ...]:
    """`empty_ones`: a benchmark's empty step is a step, since its labels count it."""
    if "steps" in rest:
        steps = rest.pop("steps")
        if type(steps) is not list:
            raise BadRow(f"field steps is {kind_of(steps)}, not a list")
        for number, step in enumerate(steps, 1):
            if type(step) is not str:
                raise BadRow(f"step {number} is {kind_of(step)}, not a text")
            if not empty_ones and not step.strip():
                raise BadRow(f"step {number} is empty")
    else:
        name = "solution" if "solution" in rest else "response"
        text = text_of(rest, name, missing="steps (or solution, or response)")
        pieces = text.split(options.step_separator) if options.step_separator else _BLANK_LINE.split(text)
        steps = [piece.strip() for piece in pieces if piece.strip()]
    if not steps:
        raise BadRow("there are no steps")
    if len(steps) > limits.max_steps:
        raise BadRow(f"there are {len(steps)} steps, more than {limits.max_steps} (RPRM_MAX_STEPS)")
    return tuple(steps)


def _label(value: Any, n_steps: int) -> int | None:
    if value is None:
        return None
    if type(value) is not int:
        raise BadRow(f"field label is {kind_of(value)}, not a whole number")
    if not -1 <= value < n_steps:
        raise BadRow(f"field label is {_short(value)}, not in -1..{n_steps - 1} (0-based first error, -1 for none)")
    return value


def _step_labels(value: Any, n_steps: int) -> tuple[int | None, ...] | None:
    if value is None:
        return None
    if type(value) is not list or len(value) != n_steps:
        shape = f"has {len(value)} entries" if type(value) is list else f"is {kind_of(value)}"
        raise BadRow(f"field step_labels {shape}, not one entry for each of the {n_steps} steps")
    return tuple(_step_label(number, label) for number, label in enumerate(value, 1))


def _step_label(number: int, value: Any) -> int | None:
    if type(value) is bool or value is None:
        return _STEP_LABELS[value]
    if type(value) is int and value in _RATINGS:
        return value
    raise BadRow(f"step_labels: entry {number} is {_short(value)}, not one of true, false, 1, 0, -1, null")


def _short(value: Any) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**18 else "a huge number"
    return text if len(text) <= 40 else f"{text[:37]}..."
