"""What the labels of a solution say of each of its steps: rated correct (1), neutral (0), wrong (-1), or not (None)."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

CORRECT, NEUTRAL, WRONG = 1, 0, -1


class Neutral(StrEnum):
    """What a step rated neutral (correct but of no use, or debatable) is taken for in training."""

    CORRECT = "correct"
    WRONG = "wrong"
    SKIP = "skip"


def step_ratings(n_steps: int, label: int | None, step_labels: Sequence[int | None] | None) -> tuple[int | None, ...]:
    """A rating for each step. `step_labels` say all where they are given; else `label`, the 0-based first wrong step.

    Steps before the first wrong one are correct, it is wrong, and nothing is known of later ones; -1 means that all
    are correct.
    """
    if step_labels is not None:
        return tuple(step_labels)
    if label is None:
        return (None,) * n_steps
    if label < 0:
        return (CORRECT,) * n_steps
    return (CORRECT,) * label + (WRONG,) + (None,) * (n_steps - label - 1)


def contradiction(n_steps: int, label: int | None, step_labels: Sequence[int | None] | None) -> int | None:
    """The first step (0-based) that the two kinds of labels do not agree on; None where they do, or only one is there.

    A neutral step is not a wrong one.
    """
    if label is None or step_labels is None:
        return None
    implied = step_ratings(n_steps, label, None)
    for step, (first, second) in enumerate(zip(implied, step_labels, strict=True)):
        if first is not None and second is not None and (first == WRONG) != (second == WRONG):
            return step
    return None


def is_correct(rating: int, neutral: Neutral) -> bool | None:
    """Whether a step of this rating is to be called correct; None when it is to be left out."""
    if rating != NEUTRAL:
        return rating == CORRECT
    return None if neutral is Neutral.SKIP else neutral is Neutral.CORRECT
