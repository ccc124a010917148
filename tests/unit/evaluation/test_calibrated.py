"""Calibrated rewards: probabilities that hold on other solutions, learned from the votes around a step as well."""

from __future__ import annotations

import random

import msgspec
import numpy as np
import pytest

from rprm_jobs.errors import InputError
from rprm_jobs.evaluation.calibrated import Calibrator, describe, feature_names, fit, step_score

pytest.importorskip("sklearn")
Solution = tuple[list[list[float | None]], list[bool | None]]


def drawn(seed: int, n: int = 300) -> list[Solution]:
    """Solutions of a judge that is too sure: of ten votes more are Yes than there should be, the later the better."""
    rng = random.Random(seed)
    solutions: list[Solution] = []
    for _ in range(n):
        first = rng.randrange(8)
        truths: list[bool | None] = [step < first for step in range(6)]
        chances = [0.95 if truth else rng.choice([0.8, 0.3]) for truth in truths]
        solutions.append(([[float(rng.random() < chance) for _ in range(10)] for chance in chances], truths))
    return solutions


def measured(calibrator: Calibrator, solutions: list[Solution]) -> tuple[float, float, float, float]:
    """Brier score and step score, raw and calibrated."""
    raw, calibrated, truths = [], [], []
    for votes, correct in solutions:
        raw += [float(np.mean([vote for vote in step if vote is not None])) for step in votes]
        calibrated += [reward or 0.0 for reward in calibrator.rewards(votes)]
        truths += [bool(truth) for truth in correct]
    rewards, better, known = np.array(raw), np.array(calibrated), np.array(truths)
    return (
        float(((rewards - known) ** 2).mean()),
        float(((better - known) ** 2).mean()),
        step_score(rewards, known, 0.5),
        step_score(better, known, calibrator.threshold),
    )


def test_it_is_better_on_solutions_that_it_was_not_fitted_to() -> None:
    raw, calibrated, score, better = measured(fit(drawn(1)), drawn(2))
    assert calibrated < 0.7 * raw
    assert better > score + 5


def test_it_is_plain_numbers_that_come_back_from_json() -> None:
    calibrator = fit(drawn(1, 50))
    again = msgspec.json.decode(msgspec.json.encode(calibrator), type=Calibrator)
    votes = drawn(3, 1)[0][0]
    assert again.rewards(votes) == calibrator.rewards(votes)


def test_steps_without_a_verdict_have_no_reward_and_are_nobodys_neighbours() -> None:
    calibrator = fit(drawn(1, 50))
    votes: list[list[float | None]] = [[1.0, 1.0], [], [None], [0.0, 1.0]]
    rewards = calibrator.rewards(votes)
    assert rewards[1:3] == [None, None]
    assert [rewards[0], rewards[3]] == calibrator.rewards([votes[0], votes[3]])


def test_the_place_of_a_step_counts_only_where_it_is_asked_for() -> None:
    same: list[list[float | None]] = [[1.0, 0.0]] * 5
    _, features = describe(same)
    assert features.shape == (5, len(feature_names(position=False)))
    assert len({tuple(row) for row in features[1:-1]}) <= 3
    _, placed = describe(same, position=True)
    assert len({tuple(row) for row in placed}) == 5


def test_labels_of_one_kind_teach_nothing() -> None:
    with pytest.raises(InputError, match="1 correct and 0 wrong"):
        fit([([[1.0]], [True])])
