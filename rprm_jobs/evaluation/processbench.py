"""ProcessBench: find the first wrong step of a solution. A match is exact; F1 is that of the two accuracies.

The headline number of a judge is the plain mean of its F1 over the four subsets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rprm_jobs.aggregation import first_error
from rprm_jobs.evaluation.metrics import NO_ERROR, THRESHOLD, correct_acc, error_acc, f1

# Erroneous and correct solutions of each subset as published.
SIZES: dict[str, tuple[int, int]] = {
    "gsm8k": (207, 193),
    "math": (594, 406),
    "olympiadbench": (661, 339),
    "omnimath": (759, 241),
}


@dataclass(frozen=True, slots=True)
class ProcessBenchScore:
    """One subset's outcome: accuracies and F1 in percent, and how many solutions of each kind they rest on."""

    error_acc: float
    correct_acc: float
    f1: float
    n_error: int
    n_correct: int

    def is_complete(self, subset: str) -> bool:
        """Whether this rests on every solution of the published `subset`; an F1 that does not must say so."""
        return SIZES.get(subset) == (self.n_error, self.n_correct)


def score(labels: Sequence[int], predictions: Sequence[int | None]) -> ProcessBenchScore:
    """Score predicted first errors (-1: there is none; None: no prediction, a miss) against labels.

    Raises InputError when one kind of label is missing.
    """
    error, correct = error_acc(labels, predictions), correct_acc(labels, predictions)
    n_correct = sum(label == NO_ERROR for label in labels)
    return ProcessBenchScore(error, correct, f1(error, correct), len(labels) - n_correct, n_correct)


def score_rewards(
    labels: Sequence[int], rewards: Sequence[Sequence[float | None]], threshold: float = THRESHOLD
) -> ProcessBenchScore:
    """Score per-step rewards: the prediction is their `first_error`, and a miss where that is unknown."""
    return score(labels, [first_error(steps, threshold) for steps in rewards])
