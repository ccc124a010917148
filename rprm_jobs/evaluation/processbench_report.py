"""ProcessBench by subset: what a system answered for every labelled solution, and the table that follows from it.

A solution without an answer is counted with its reason and never scored; a subset that lacks one has no F1 unless the
caller allows it. The subset is the part of the id before the first dash.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rprm_jobs.errors import InputError
from rprm_jobs.evaluation.bootstrap import Draws, f1_draws, interval, mean_draws
from rprm_jobs.evaluation.metrics import NO_ERROR, THRESHOLD, correct_acc, error_acc, f1
from rprm_jobs.evaluation.processbench import SIZES

NO_ROW = "no row"
NO_REWARD = "without a reward"
NO_PREDICTION = "without a prediction"


@dataclass(frozen=True, slots=True)
class ProcessBenchItem:
    """One labelled solution: its 0-based first wrong step, -1 for none, and how many steps it has (None: unknown)."""

    id: str
    label: int
    n_steps: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The predicted first error of one solution, or None with the reason why there is none."""

    prediction: int | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SubsetReport:
    """Accuracies and F1 in percent over the `n_error` + `n_correct` solutions with an answer; None where undefined.

    `missing` solutions have none. `published` is how many the benchmark's own subset holds, None for another one.
    """

    n_error: int
    n_correct: int
    error_acc: float | None
    correct_acc: float | None
    f1: float | None
    f1_interval: tuple[float, float] | None
    missing: int
    published: int | None

    @property
    def notes(self) -> str:
        """What a reader must know of the numbers: what is missing, and what part of the published subset this is."""
        total = self.n_error + self.n_correct + self.missing
        remarks = [f"{self.missing} of {total} missing"] if self.missing else []
        if self.published is not None and total != self.published:
            remarks.append(f"{total} solutions, the published subset has {self.published}")
        return "; ".join(remarks)


@dataclass(frozen=True, slots=True)
class ProcessBenchReport:
    """All subsets, and the plain mean of their F1s; None while a subset has none. `reasons` counts what is missing."""

    subsets: Mapping[str, SubsetReport]
    average_f1: float | None
    average_f1_interval: tuple[float, float] | None
    reasons: Mapping[str, int]

    @property
    def missing(self) -> int:
        """Solutions without an answer."""
        return sum(self.reasons.values())

    def as_json(self) -> dict[str, Any]:
        """Plain JSON types; accuracies and F1 in percent, intervals of 95%."""
        names = ("n_error", "n_correct", "error_acc", "correct_acc", "f1", "f1_interval", "missing")
        return {
            "subsets": {
                subset: {name: getattr(report, name) for name in names} for subset, report in self.subsets.items()
            },
            "average_f1": self.average_f1,
            "average_f1_interval": self.average_f1_interval,
            "missing": self.missing,
            "missing_by_reason": dict(self.reasons),
        }


def subset_of(id_: str) -> str:
    """The subset that an id names. Raises InputError for an id that names none."""
    subset, dash, rest = id_.partition("-")
    if not (subset and dash and rest):
        raise InputError(f"id {id_!r} names no subset, as in gsm8k-12")
    return subset


def predict(rewards: Sequence[float | None], threshold: float = THRESHOLD) -> Answer:
    """The first step with a reward below `threshold`. A step without a reward before it leaves nothing to say.

    Steps after the first error may have no reward: they were not judged because they could not change the answer.
    """
    for index, reward in enumerate(rewards):
        if reward is None:
            return Answer(None, NO_REWARD)
        if reward < threshold:
            return Answer(index)
    return Answer(NO_ERROR)


def read_answer(row: Mapping[str, Any], n_steps: int | None, threshold: float = THRESHOLD) -> Answer:
    """The answer in one row of predictions: `prediction`, or else `rewards`. Raises InputError with what is wrong."""
    status = row.get("status", "ok")
    if status != "ok":
        return Answer(None, str(status))
    if row.get("prediction") is not None:
        return Answer(_checked_prediction(row["prediction"], n_steps))
    if row.get("rewards") is not None:
        return predict(checked_rewards(row["rewards"], n_steps), threshold)
    if "prediction" in row or "rewards" in row:
        return Answer(None, NO_PREDICTION)
    raise InputError("the row has neither prediction nor rewards")


def _checked_prediction(value: Any, n_steps: int | None) -> int:
    if type(value) is not int:
        raise InputError(f"prediction {value!r} is not a whole number")
    if value < NO_ERROR or (n_steps is not None and value >= n_steps):
        last = "" if n_steps is None else f"{n_steps - 1}"
        raise InputError(f"prediction {value} is not in -1..{last} (0-based first error, -1 for none)")
    return value


def checked_rewards(value: Any, n_steps: int | None) -> list[float | None]:
    """`value` as one reward per step, each in [0, 1] or None. Raises InputError with what is wrong."""
    if type(value) is not list:
        raise InputError("the rewards are not a list")
    if n_steps is not None and len(value) != n_steps:
        raise InputError(f"there are {len(value)} rewards for {n_steps} steps")
    for number, reward in enumerate(value, 1):
        if reward is not None and (type(reward) not in (int, float) or not 0 <= reward <= 1):
            raise InputError(f"reward {number} is {reward!r}, not a number in 0..1 or null")
    return value


def evaluate(
    items: Sequence[ProcessBenchItem], answers: Mapping[str, Answer], *, allow_incomplete: bool = False, seed: int = 0
) -> ProcessBenchReport:
    """Score the answers, by id, of all `items`. Raises InputError for an id that names no subset."""
    groups: dict[str, list[tuple[ProcessBenchItem, Answer]]] = {}
    for item in items:
        groups.setdefault(subset_of(item.id), []).append((item, answers.get(item.id, Answer(None, NO_ROW))))
    order = [*(name for name in SIZES if name in groups), *sorted(set(groups) - set(SIZES))]
    rng = np.random.default_rng(seed)
    reports, draws = {}, []
    for subset in order:
        reports[subset], drawn = _subset(subset, groups[subset], allow_incomplete, rng)
        draws.append(drawn)
    f1s = [report.f1 for report in reports.values() if report.f1 is not None]
    whole = bool(f1s) and len(f1s) == len(reports)
    return ProcessBenchReport(
        subsets=reports,
        average_f1=sum(f1s) / len(f1s) if whole else None,
        average_f1_interval=interval(mean_draws([draw for draw in draws if draw is not None])) if whole else None,
        reasons=Counter(a.reason for group in groups.values() for _, a in group if a.prediction is None),
    )


def _subset(
    subset: str, group: Sequence[tuple[ProcessBenchItem, Answer]], allow_incomplete: bool, rng: np.random.Generator
) -> tuple[SubsetReport, Draws | None]:
    answered = [(item.label, answer.prediction) for item, answer in group if answer.prediction is not None]
    labels, predictions = [label for label, _ in answered], [predicted for _, predicted in answered]
    n_correct = labels.count(NO_ERROR)
    n_error = len(labels) - n_correct
    error = error_acc(labels, predictions) if n_error else None
    correct = correct_acc(labels, predictions) if n_correct else None
    missing = len(group) - len(answered)
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
        missing=missing,
        published=sum(SIZES[subset]) if subset in SIZES else None,
    )
    return report, draws
