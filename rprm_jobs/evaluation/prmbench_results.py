"""What a system says of one solution of PRMBench: the benchmark's own result rows, and those of R-PRM's code.

PRMBench scores labels, never the scores they came from; which labels count for which class is said in `called_valid`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rprm_jobs.errors import InputError
from rprm_jobs.evaluation.metrics import THRESHOLD

# Whose wrong steps are superfluous ones, so that a system's redundancy labels count, inverted, where it gives any.
REDUNDANT = ("redundency", "circular")

Labels = tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class PrmbenchResult:
    """By step, as far as the system saw them: `scores` (None: no verdict), and the labels `validity` and `redundancy`.

    `usable` is False where the system itself marks its answer as none.
    """

    scores: tuple[float | None, ...] | None = None
    validity: Labels | None = None
    redundancy: Labels | None = None
    usable: bool = True

    def called_valid(self, classification: str, threshold: float | None) -> Labels | None:
        """Which steps the system calls valid: by its labels, or with a `threshold` from its scores.

        Without labels the scores count, from 0.5 on. None where a score is missing.
        """
        if threshold is None:
            if self.redundancy is not None and classification in REDUNDANT:
                return tuple(not label for label in self.redundancy)
            if self.validity is not None:
                return self.validity
        known = [score for score in self.scores or () if score is not None]
        if self.scores is None or not known or len(known) < len(self.scores):
            return None
        return tuple(score >= (THRESHOLD if threshold is None else threshold) for score in known)


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One row of results: for the item with this `key`, or, where a row names none, for that with these `steps`."""

    key: str | None
    steps: tuple[str, ...] | None
    result: PrmbenchResult


def read_result(row: Mapping[str, Any]) -> ResultRow:
    """One row of PRMBench's results, or of R-PRM's. Raises InputError with what is wrong."""
    if "yes_probability_average" in row:
        return _read_rprm(row)
    key = row.get("idx")
    if not isinstance(key, str):
        raise InputError("the row has no idx")
    if "validity" in row and not row["validity"]:
        return ResultRow(key, None, PrmbenchResult(usable=False))
    fields = row.get("scores")
    if not isinstance(fields, Mapping):
        raise InputError("the row has no object scores")
    result = PrmbenchResult(
        _scores(fields.get("step_level_validity_scores")),
        _labels(fields, "step_level_validity_labels"),
        _labels(fields, "step_level_redundancy_labels"),
    )
    if result.scores is None and result.validity is None:
        raise InputError("scores has neither step_level_validity_labels nor step_level_validity_scores")
    return ResultRow(key, None, result)


def _read_rprm(row: Mapping[str, Any]) -> ResultRow:
    """R-PRM's rows number the solutions; what they show of them is each step, as its prompt names it."""
    result = PrmbenchResult(_scores(row["yes_probability_average"]))
    key = row.get("idx", row.get("id"))
    if isinstance(key, str):
        return ResultRow(key, None, result)
    steps = row.get("now_steps")
    if type(steps) is not list or not all(type(step) is str for step in steps):
        raise InputError("the row has neither idx nor now_steps, so nothing says which solution it is of")
    return ResultRow(None, tuple(steps), result)


def named_steps(steps: Sequence[str]) -> tuple[str, ...]:
    """A solution's steps as R-PRM's rows show them."""
    return tuple(f"Step {number}: {step}" for number, step in enumerate(steps, 1))


def _scores(values: Any) -> tuple[float | None, ...] | None:
    if values is None:
        return None
    if type(values) is not list:
        raise InputError("the scores are not a list")
    for number, value in enumerate(values, 1):
        if value is not None and type(value) not in (int, float):
            raise InputError(f"score {number} is {value!r}, not a number or null")
    return tuple(values)


def _labels(fields: Mapping[str, Any], name: str) -> Labels | None:
    values = fields.get(name)
    if values is None:
        return None
    if type(values) is not list or not all(type(value) in (bool, int) and value in (0, 1) for value in values):
        raise InputError(f"{name} is not a list of booleans")
    return tuple(map(bool, values))
