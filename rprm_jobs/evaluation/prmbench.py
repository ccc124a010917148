"""PRMBench: call every step valid or not. Nine classes of error, three dimensions, and correct solutions as controls.

A class scores the mean of the F1 of its valid and of its invalid steps; multi_solutions, in which no step is wrong, the
F1 of the valid ones alone. All scores are in percent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rprm_jobs.evaluation.prmbench_results import PrmbenchResult
from rprm_jobs.evaluation.prmbench_rows import CLASSES, CONTROL, DIMENSIONS, PrmbenchItem, first_of_each

VALID_ONLY = "multi_solutions"


@dataclass(frozen=True, slots=True)
class Counts:
    """Steps by what they are and what they were called: `valid_invalid` are valid ones called invalid."""

    valid_valid: int = 0
    valid_invalid: int = 0
    invalid_valid: int = 0
    invalid_invalid: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.valid_valid + other.valid_valid,
            self.valid_invalid + other.valid_invalid,
            self.invalid_valid + other.invalid_valid,
            self.invalid_invalid + other.invalid_invalid,
        )

    @property
    def steps(self) -> int:
        """All of them."""
        return self.valid_valid + self.valid_invalid + self.invalid_valid + self.invalid_invalid

    @property
    def f1(self) -> float:
        """F1 of finding the valid steps, in percent."""
        return _f1(self.valid_valid, self.valid_invalid + self.invalid_valid)

    @property
    def negative_f1(self) -> float:
        """F1 of finding the invalid steps, in percent."""
        return _f1(self.invalid_invalid, self.valid_invalid + self.invalid_valid)

    @property
    def score(self) -> float:
        """The mean of both F1s."""
        return (self.f1 + self.negative_f1) / 2


def _f1(hits: int, misses: int) -> float:
    return 200.0 * hits / (2 * hits + misses) if hits else 0.0


@dataclass(frozen=True, slots=True)
class Controls:
    """The correct solutions: `accuracy` is the percentage of their steps that are called valid, None without any."""

    n_items: int
    n_steps: int
    accuracy: float | None
    missing: int
    invalid: int


@dataclass(frozen=True, slots=True)
class PrmbenchReport:
    """`overall` is over the pooled counts of the classes there are, without controls; None where nothing was scored.

    `missing` items lack a result or a score of some step; the system marks its answer to `invalid` ones as none; both
    are left out. Of `short` items only the first steps have a label, and count. `out_of_range` items name wrong steps
    that they do not have; `repeated` rows had the key of one before; `unnamed` results
    are of items that are not here.

    A dimension is the plain mean of its classes, as far as they are here.
    """

    overall: float | None
    classes: Mapping[str, float]
    dimensions: Mapping[str, float | None]
    n_items: int
    n_steps: int
    out_of_range: int
    missing: int
    invalid: int
    short: int
    repeated: int
    unnamed: int
    controls: Controls

    @property
    def absent(self) -> tuple[str, ...]:
        """Classes without a score, so that neither `overall` nor their dimension is the benchmark's own."""
        return tuple(name for name in CLASSES if name not in self.classes)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON types; scores in percent."""
        return {
            "overall": self.overall,
            "classes": dict(self.classes),
            "dimensions": dict(self.dimensions),
            "n_items": self.n_items,
            "n_steps": self.n_steps,
            "out_of_range": self.out_of_range,
            "missing": self.missing,
            "invalid": self.invalid,
            "short": self.short,
            "repeated": self.repeated,
            "unnamed": self.unnamed,
            "absent_classes": list(self.absent),
            "controls": {name: getattr(self.controls, name) for name in Controls.__slots__},
        }


def count(item: PrmbenchItem, called_valid: Sequence[bool]) -> Counts:
    """The item's steps, as far as there are calls."""
    counts = [[0, 0], [0, 0]]
    for step, valid in enumerate(called_valid):
        counts[step in item.error_steps][not valid] += 1
    (valid_valid, valid_invalid), (invalid_valid, invalid_invalid) = counts
    return Counts(valid_valid, valid_invalid, invalid_valid, invalid_invalid)


def evaluate(
    items: Sequence[PrmbenchItem], results: Mapping[str, PrmbenchResult], threshold: float | None = None
) -> PrmbenchReport:
    """Score the results, by key. Of items with one key the first counts; `threshold`: see `called_valid`."""
    unique = first_of_each(items)
    totals: dict[str, Counts] = {}
    scored, missing, invalid = Counter[bool](), Counter[bool](), Counter[bool]()
    short = 0
    for item in unique:
        result = results.get(item.key, PrmbenchResult())
        calls = result.called_valid(item.classification, threshold)
        if not result.usable or calls is None:
            (missing if result.usable else invalid)[item.is_control] += 1
            continue
        scored[item.is_control] += 1
        short += len(calls) < len(item.steps)
        totals[item.classification] = totals.get(item.classification, Counts()) + count(item, calls)
    controls = totals.pop(CONTROL, Counts())
    classes = {
        name: totals[name].f1 if name == VALID_ONLY else totals[name].score for name in CLASSES if name in totals
    }
    pooled = sum(totals.values(), Counts())
    return PrmbenchReport(
        overall=pooled.score if totals else None,
        classes=classes,
        dimensions={name: _mean([classes[c] for c in of if c in classes]) for name, of in DIMENSIONS.items()},
        n_items=scored[False],
        n_steps=pooled.steps,
        out_of_range=sum(item.out_of_range for item in unique),
        missing=missing[False],
        invalid=invalid[False],
        short=short,
        repeated=len(items) - len(unique),
        unnamed=len(set(results) - {item.key for item in unique}),
        controls=_controls(controls, scored[True], missing[True], invalid[True]),
    )


def _controls(counts: Counts, scored: int, missing: int, invalid: int) -> Controls:
    accuracy = 100.0 * counts.valid_valid / counts.steps if counts.steps else None
    return Controls(scored, counts.steps, accuracy, missing, invalid)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
