"""ProcessBench by subset: what a system answered for every labelled solution, and the table that follows from it.

As published, a solution without a usable prediction is a miss; here it is counted apart, with its reason. A solution
that was not answered at all is missing: its subset has no F1 unless the caller allows it, and then it is a miss too.
The subset is the part of the id before the first dash.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rprm_jobs.errors import InputError
from rprm_jobs.evaluation.bootstrap import Draws, f1_draws, interval, mean_draws
from rprm_jobs.evaluation.metrics import NO_ERROR, correct_acc, error_acc, f1
from rprm_jobs.evaluation.processbench import SIZES
from rprm_jobs.evaluation.processbench_answers import NO_ROW, Answer
from rprm_jobs.words import counted


@dataclass(frozen=True, slots=True)
class ProcessBenchItem:
    """One labelled solution: its 0-based first wrong step, -1 for none, and how many steps it has (None: unknown)."""

    id: str
    label: int
    n_steps: int | None = None


@dataclass(frozen=True, slots=True)
class SubsetReport:
    """Accuracies and F1 in percent over all `n_error` + `n_correct` labelled solutions; None where undefined.

    The `missing` and those that were answered `without_prediction` count as misses. `published` is how many solutions
    the benchmark's own subset holds, None for another one.
    """

    n_error: int
    n_correct: int
    error_acc: float | None
    correct_acc: float | None
    f1: float | None
    f1_interval: tuple[float, float] | None
    without_prediction: int
    missing: int
    published: int | None

    @property
    def notes(self) -> str:
        """What a reader must know of the numbers: what is missing, and what part of the published subset this is."""
        total = self.n_error + self.n_correct
        remarks = [f"{self.missing} of {total} missing"] if self.missing else []
        if self.without_prediction:
            remarks.append(f"{self.without_prediction} of {total} without a prediction, which count as misses")
        if self.published is not None and total != self.published:
            remarks.append(f"{counted(total, 'solution')}, the published subset has {self.published}")
        return "; ".join(remarks)


@dataclass(frozen=True, slots=True)
class ProcessBenchReport:
    """All subsets, and the plain mean of their F1s; None while a subset has none.

    `missing_by_reason` and `without_prediction_by_reason` count the solutions without a prediction.
    """

    subsets: Mapping[str, SubsetReport]
    average_f1: float | None
    average_f1_interval: tuple[float, float] | None
    missing_by_reason: Mapping[str, int]
    without_prediction_by_reason: Mapping[str, int]

    @property
    def missing(self) -> int:
        """Solutions that were not answered."""
        return sum(self.missing_by_reason.values())

    @property
    def without_prediction(self) -> int:
        """Solutions whose answer is no prediction."""
        return sum(self.without_prediction_by_reason.values())

    def as_json(self) -> dict[str, Any]:
        """Plain JSON types; accuracies and F1 in percent, intervals of 95%."""
        names = [name for name in SubsetReport.__slots__ if name != "published"]
        return {
            "subsets": {
                subset: {name: getattr(report, name) for name in names} for subset, report in self.subsets.items()
            },
            "average_f1": self.average_f1,
            "average_f1_interval": self.average_f1_interval,
            "missing": self.missing,
            "missing_by_reason": dict(self.missing_by_reason),
            "without_prediction": self.without_prediction,
            "without_prediction_by_reason": dict(self.without_prediction_by_reason),
        }


def subset_of(id_: str) -> str:
    """The subset that an id names. Raises InputError for an id that names none."""
    subset, dash, rest = id_.partition("-")
    if not (subset and dash and rest):
        raise InputError(f"id {id_!r} names no subset, as in gsm8k-12")
    return subset


def evaluate(
    items: Sequence[ProcessBenchItem], answers: Mapping[str, Answer], *, allow_incomplete: bool = False, seed: int = 0
) -> ProcessBenchReport:
    """Score the answers, by id, of all `items`. Raises InputError for an id that names no subset."""
    groups: dict[str, list[tuple[ProcessBenchItem, Answer]]] = {}
    for item in items:
        answer = answers.get(item.id, Answer(None, NO_ROW, missing=True))
        groups.setdefault(subset_of(item.id), []).append((item, answer))
    order = [*(name for name in SIZES if name in groups), *sorted(set(groups) - set(SIZES))]
    rng = np.random.default_rng(seed)
    reports, draws = {}, []
    for subset in order:
        reports[subset], drawn = _subset(subset, groups[subset], allow_incomplete, rng)
        draws.append(drawn)
    f1s = [report.f1 for report in reports.values() if report.f1 is not None]
    whole = bool(f1s) and len(f1s) == len(reports)
    unpredicted = [answer for group in groups.values() for _, answer in group if answer.prediction is None]
    return ProcessBenchReport(
        subsets=reports,
        average_f1=sum(f1s) / len(f1s) if whole else None,
        average_f1_interval=interval(mean_draws([draw for draw in draws if draw is not None])) if whole else None,
        missing_by_reason=Counter(answer.reason for answer in unpredicted if answer.missing),
        without_prediction_by_reason=Counter(answer.reason for answer in unpredicted if not answer.missing),
    )


def _subset(
    subset: str, group: Sequence[tuple[ProcessBenchItem, Answer]], allow_incomplete: bool, rng: np.random.Generator
) -> tuple[SubsetReport, Draws | None]:
    labels = [item.label for item, _ in group]
    predictions = [answer.prediction for _, answer in group]
    n_correct = labels.count(NO_ERROR)
    n_error = len(labels) - n_correct
    error = error_acc(labels, predictions) if n_error else None
    correct = correct_acc(labels, predictions) if n_correct else None
    missing = sum(answer.missing for _, answer in group)
    draws = None
    if error is not None and correct is not None and (allow_incomplete or not missing):
        hits = round(error * n_error / 100), round(correct * n_correct / 100)
        draws = f1_draws(hits, (n_error, n_correct), rng)
    report = SubsetReport(
        n_error=n_error,
        n_correct=n_correct,
        error_acc=error,
        correct_acc=correct,
        f1=None if draws is None or error is None or correct is None else f1(error, correct),
        f1_interval=None if draws is None else interval(draws),
        without_prediction=predictions.count(None) - missing,
        missing=missing,
        published=sum(SIZES[subset]) if subset in SIZES else None,
    )
    return report, draws
