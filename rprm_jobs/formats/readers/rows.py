"""From a plain row to a Solution, or to the reason why it is refused.

A field is never corrected in silence: a row either is a solution as it stands or is refused with its field named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rprm_jobs.evaluation import prmbench_rows
from rprm_jobs.formats.readers.bad_row import BadRow, kind_of
from rprm_jobs.formats.readers.options import ReadOptions
from rprm_jobs.formats.readers.report import ReadReport
from rprm_jobs.formats.readers.row_formats.own import own_row
from rprm_jobs.formats.readers.row_formats.prmbench import prmbench_row
from rprm_jobs.formats.splitters import NoSuchPart
from rprm_jobs.settings import Limits
from rprm_jobs.types import Solution
from rprm_jobs.words import counted

_MAX_ID_CHARS = 512
# Booleans are what they say; ratings follow PRM800K: 1 correct, 0 neutral, -1 wrong; null is not labelled.
_STEP_LABELS: dict[Any, int | None] = {True: 1, False: -1, None: None}
_RATINGS = (-1, 0, 1)
# Where the steps stand in the text that was cut, as [start, end] in characters.
STEP_OFFSETS = "step_offsets"


@dataclass(frozen=True, slots=True)
class InputRow:
    """A solution and where it stood: `line` counts from 1 (in Parquet and data sets it is the row's number)."""

    file: str
    line: int
    solution: Solution


def to_solution(raw: Any, options: ReadOptions, limits: Limits) -> Solution:
    """Check one decoded row of this package's own or of PRMBench. Raises BadRow with the first reason found."""
    if type(raw) is not dict:
        raise BadRow(f"the row is {kind_of(raw)}, not a JSON object")
    if prmbench_rows.is_row(raw):
        return check_plain(prmbench_row(raw), options, limits, ReadReport(), empty_steps=True)
    return check_plain(own_row(raw), options, limits, ReadReport())


def check_plain(
    rest: dict[str, Any], options: ReadOptions, limits: Limits, report: ReadReport, *, empty_steps: bool = False
) -> Solution:
    """The Solution of a plain row, which is used up. Raises BadRow with the first reason found.

    `empty_steps`: a benchmark's empty step is a step, since its labels count it.
    """
    id_ = id_of(rest.pop("id", None))
    problem = text_of(rest, "problem", missing="problem (or question)")
    steps = _listed_steps(rest, empty_steps) if "steps" in rest else _cut_steps(rest, options, report)
    if not steps:
        raise BadRow("there are no steps")
    if len(steps) > limits.max_steps:
        raise BadRow(f"there are {len(steps)} steps, more than {limits.max_steps} (RPRM_MAX_STEPS); see --min-chars")
    if len(problem) + sum(map(len, steps)) > limits.max_text_chars:
        raise BadRow(f"problem and steps have more than {limits.max_text_chars} characters (RPRM_MAX_TEXT_CHARS)")
    label = _label(rest.pop("label", None), len(steps))
    step_labels = _step_labels(rest.pop("step_labels", None), len(steps))
    return Solution(id_, problem, tuple(steps), label, step_labels, rest)


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


def _listed_steps(rest: dict[str, Any], empty_steps: bool) -> list[str]:
    steps = rest.pop("steps")
    if type(steps) is not list:
        raise BadRow(f"field steps is {kind_of(steps)}, not a list")
    for number, step in enumerate(steps, 1):
        if type(step) is not str:
            raise BadRow(f"step {number} is {kind_of(step)}, not a text")
        if not empty_steps and (not step or step.isspace()):
            raise BadRow(f"step {number} is empty")
    return steps


def _cut_steps(rest: dict[str, Any], options: ReadOptions, report: ReadReport) -> list[str]:
    """The steps of the solution's text; where each stands goes to the metadata."""
    reasoning = rest.get("reasoning") if options.splitting.part in ("thinking", "all") else None
    if type(reasoning) is str and rest.get("solution") == "":
        # All tokens went into the thinking.
        del rest["solution"]
        text = ""
    else:
        text = text_of(rest, "solution", missing="steps (or solution, or response)")
    if type(reasoning) is str:
        del rest["reasoning"]
        text = f"<think>\n{reasoning}\n</think>\n\n{text}"
    try:
        spans = options.splitting.cut(text)
    except NoSuchPart as reason:
        raise BadRow(str(reason)) from reason
    report.cut(text, len(spans))
    if STEP_OFFSETS in rest:
        rest[f"metadata.{STEP_OFFSETS}"] = rest.pop(STEP_OFFSETS)
    rest[STEP_OFFSETS] = [list(span) for span in spans]
    return [text[start:end] for start, end in spans]


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
        shape = f"has {counted(len(value), 'entry', 'entries')}" if type(value) is list else f"is {kind_of(value)}"
        raise BadRow(f"field step_labels {shape}, not one entry for each of the {counted(n_steps, 'step')}")
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
