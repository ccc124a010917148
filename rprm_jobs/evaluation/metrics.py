"""The measures that benchmarks share. Rewards are in [0, 1], accuracies and F1 in percent, indices count from 0."""

from __future__ import annotations

from collections.abc import Sequence

from rprm_jobs.errors import InputError
from rprm_jobs.words import counted

THRESHOLD = 0.5
NO_ERROR = -1


def error_acc(labels: Sequence[int], predictions: Sequence[int | None]) -> float:
    """Percent of erroneous solutions whose first error is predicted exactly; None, no prediction, is a miss.

    Raises InputError when there is no erroneous solution, or when the two lengths differ.
    """
    return _accuracy(labels, predictions, erroneous=True)


def correct_acc(labels: Sequence[int], predictions: Sequence[int | None]) -> float:
    """Percent of correct solutions in which no error is predicted. Raises like `error_acc`."""
    return _accuracy(labels, predictions, erroneous=False)


def f1(error: float, correct: float) -> float:
    """Harmonic mean of the two accuracies; 0 when both are 0."""
    return 2 * error * correct / (error + correct) if error + correct else 0.0


def _accuracy(labels: Sequence[int], predictions: Sequence[int | None], *, erroneous: bool) -> float:
    if len(labels) != len(predictions):
        raise InputError(f"{counted(len(labels), 'label')} for {len(predictions)} predictions")
    hits = [
        label == predicted
        for label, predicted in zip(labels, predictions, strict=True)
        if (label != NO_ERROR) is erroneous
    ]
    if not hits:
        kind = "erroneous" if erroneous else "correct"
        raise InputError(
            f"no {kind} solution is among the {len(labels)} labelled ones, so its accuracy is undefined",
            hint="evaluate on solutions of both kinds",
        )
    return 100.0 * sum(hits) / len(hits)
