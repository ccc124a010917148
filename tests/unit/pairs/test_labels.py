"""From the labels of a solution to a rating for each step."""

from __future__ import annotations

import pytest

from rprm_jobs.pairs.labels import Neutral, contradiction, is_correct, step_ratings


@pytest.mark.parametrize(
    ("label", "step_labels", "ratings"),
    [
        (None, None, (None, None, None, None)),
        (-1, None, (1, 1, 1, 1)),
        (0, None, (-1, None, None, None)),
        (2, None, (1, 1, -1, None)),
        (3, None, (1, 1, 1, -1)),
        (None, (1, 0, None, -1), (1, 0, None, -1)),
        (3, (1, 0, None, -1), (1, 0, None, -1)),
    ],
)
def test_ratings_of_four_steps(
    label: int | None, step_labels: tuple[int | None, ...] | None, ratings: tuple[int | None, ...]
) -> None:
    assert step_ratings(4, label, step_labels) == ratings


@pytest.mark.parametrize(
    ("label", "step_labels", "step"),
    [
        (None, (1, -1, 1), None),
        (1, None, None),
        (1, (1, -1, -1), None),
        (1, (0, -1, 1), None),
        (1, (None, None, 1), None),
        (1, (1, 1, -1), 1),
        (1, (1, 0, -1), 1),
        (2, (1, -1, -1), 1),
        (-1, (1, 0, 1), None),
        (-1, (1, 1, -1), 2),
    ],
)
def test_contradictions(label: int | None, step_labels: tuple[int | None, ...] | None, step: int | None) -> None:
    assert contradiction(3, label, step_labels) == step


def test_neutral_steps_are_what_the_user_says() -> None:
    assert [is_correct(0, how) for how in (Neutral.CORRECT, Neutral.WRONG, Neutral.SKIP)] == [True, False, None]
    for how in Neutral:
        assert is_correct(1, how) is True
        assert is_correct(-1, how) is False
