"""The rows of PRMBench: which solution each one is, and where it is wrong.

Rows number wrong steps from 1, and those of the modified process; indices here count from 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from rprm_jobs.errors import InputError

T = TypeVar("T")

# `redundency` is spelt so in the data.
DIMENSIONS = {
    "simplicity": ("redundency", "circular"),
    "soundness": ("counterfactual", "step_contradiction", "domain_inconsistency", "confidence"),
    "sensitivity": ("missing_condition", "deception", "multi_solutions"),
}
CLASSES = tuple(name for names in DIMENSIONS.values() for name in names)
CONTROL = "correct"
CONTROLLED = "redundency"


@dataclass(frozen=True, slots=True)
class PrmbenchItem:
    """One solution of a class or a control. `error_steps` are those in range; `out_of_range` that some were not."""

    key: str
    classification: str
    problem: str
    steps: tuple[str, ...]
    error_steps: frozenset[int]
    out_of_range: bool

    @property
    def is_control(self) -> bool:
        """Whether it is a correct solution that belongs to no class."""
        return self.classification == CONTROL


def is_row(row: Any) -> bool:
    """Whether a decoded row is PRMBench's: it has `idx` and `classification`, and no id of its own."""
    return type(row) is dict and "idx" in row and "classification" in row and "id" not in row


def item_key(classification: str, idx: str) -> str:
    """`{classification}_{idx}`; a control's idx is its key already."""
    return idx if idx.startswith(f"{classification}_") else f"{classification}_{idx}"


def class_of(key: str) -> str | None:
    """The class (or the controls) that a key belongs to, None for no key of PRMBench."""
    return next((name for name in (*CLASSES, CONTROL) if key.startswith(f"{name}_")), None)


def read_item(row: Mapping[str, Any]) -> PrmbenchItem:
    """One row of the benchmark. Raises InputError with what is wrong."""
    classification, idx = row.get("classification"), row.get("idx")
    if not isinstance(idx, str) or not isinstance(classification, str):
        raise InputError("the row has no idx and classification, so it is none of PRMBench")
    if classification not in (*CLASSES, CONTROL):
        raise InputError(f"classification {classification!r} is none of PRMBench's nine, nor {CONTROL}")
    problem_field, steps_field = _text_fields(classification)
    problem, steps = row.get(problem_field), _list_of(str, row.get(steps_field))
    if not isinstance(problem, str) or not steps:
        raise InputError(f"{problem_field} and {steps_field} are not a text and a list of texts")
    errors = _list_of(int, row.get("error_steps"))
    if errors is None:
        raise InputError("error_steps is not a list of whole numbers")
    inside = frozenset(number - 1 for number in errors if 1 <= number <= len(steps))
    outside = len(inside) != len(set(errors))
    return PrmbenchItem(item_key(classification, idx), classification, problem, tuple(steps), inside, outside)


def _text_fields(classification: str) -> tuple[str, str]:
    return ("question", "steps") if classification == CONTROL else ("modified_question", "modified_process")


def _list_of(kind: type[T], value: Any) -> list[T] | None:
    return value if type(value) is list and all(type(entry) is kind for entry in value) else None


def solution_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row as one to be judged: `id`, `problem`, `steps`, `label`, `step_labels`, and all its other fields.

    A valid step is labelled 1, a wrong one -1. Raises InputError with what is wrong.
    """
    item = read_item(row)
    renamed = ("idx", *_text_fields(item.classification))
    return {
        **{name: value for name, value in row.items() if name not in renamed},
        "id": item.key,
        "problem": item.problem,
        "steps": list(item.steps),
        "label": min(item.error_steps, default=-1),
        "step_labels": [-1 if step in item.error_steps else 1 for step in range(len(item.steps))],
    }


def control_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row of the correct control that a redundency row implies: its original question and process."""
    return {
        "idx": f"{CONTROL}_{row.get('idx')}",
        "classification": CONTROL,
        "question": row.get("original_question"),
        "steps": row.get("original_process"),
        "error_steps": [],
    }


def first_of_each(items: Iterable[PrmbenchItem]) -> list[PrmbenchItem]:
    """One item for each key: the first."""
    first: dict[str, PrmbenchItem] = {}
    for item in items:
        first.setdefault(item.key, item)
    return list(first.values())
