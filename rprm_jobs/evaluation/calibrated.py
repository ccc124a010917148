"""Calibrated rewards: P(the step is correct), learned from labelled solutions by logistic regression.

A step is described by its own votes and by those of the solution's other judged steps, and these numbers by their
squares and products. scikit-learn fits; a fitted `Calibrator` is plain numbers and needs NumPy alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations_with_replacement

import msgspec
import numpy as np
import numpy.typing as npt

from rprm_jobs.errors import InputError, MissingExtra

Floats = npt.NDArray[np.float64]
Votes = Sequence[float | None]

_OWN = ("reward", "share of Yes", "disagreement", "1 / votes")
_AROUND = (
    "mean of the others", "mean before", "mean after", "least before", "least after", "step before", "step after",
    "wrong before", "wrong after", "disagreement of the others",
)  # fmt: skip
_PLACE = ("place", "place from the end")
# Standardised features beyond this say no more: squares of what was never seen would say anything.
_FURTHEST = 4.0
_STRENGTH = 0.1
_MANY_WRONG = 5


class Calibrator(msgspec.Struct, frozen=True):
    """What was learned. `threshold` in [0, 1] is where the score of the solutions that it was fitted to is highest.

    `steps` with a label were learned from. `position`: whether the place of a step counts, which then is learned too.
    """

    names: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    term_means: tuple[float, ...]
    term_scales: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float
    threshold: float
    steps: int
    position: bool = False

    def rewards(self, votes: Sequence[Votes]) -> list[float | None]:
        """P(correct) in [0, 1] for each step, from votes as [step][critique]; None where a step has no verdict."""
        places, features = describe(votes, position=self.position)
        rewards: list[float | None] = [None] * len(votes)
        if places:
            for place, value in zip(places, self._probabilities(features), strict=True):
                rewards[place] = float(value)
        return rewards

    def _probabilities(self, features: Floats) -> Floats:
        terms = (_terms(_standard(features, self.means, self.scales)) - self.term_means) / self.term_scales
        logits = terms @ np.asarray(self.weights) + self.intercept
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -50, 50))))


def feature_names(*, position: bool) -> tuple[str, ...]:
    """What a step is described by, in the order of the columns of `describe`."""
    return (*_OWN, *_AROUND, *(_PLACE if position else ()))


def describe(votes: Sequence[Votes], *, position: bool = False) -> tuple[list[int], Floats]:
    """The steps that have a verdict, and their features as [step][feature]."""
    parsed = [[vote for vote in step if vote is not None] for step in votes]
    places = [place for place, step in enumerate(parsed) if step]
    own = [_own(parsed[place]) for place in places]
    rows = [
        [*own[at], *_around(own, at), *([at / _MANY_WRONG, (len(own) - at) / _MANY_WRONG] if position else [])]
        for at in range(len(own))
    ]
    return places, np.array(rows, dtype=np.float64).reshape(len(rows), len(feature_names(position=position)))


def _own(votes: Sequence[float]) -> tuple[float, float, float, float]:
    n = len(votes)
    mean = math.fsum(votes) / n
    spread = math.fsum(abs(vote - mean) for vote in votes) / n
    return mean, sum(vote >= 0.5 for vote in votes) / n, 2 * spread, 1 / n


def _around(own: Sequence[tuple[float, ...]], at: int) -> list[float]:
    """Of a solution's other steps; where there is none before or after, as if there were one like the others' mean."""
    before, after = [step[0] for step in own[:at]], [step[0] for step in own[at + 1 :]]
    others = before + after or [own[at][0]]
    usual = _mean(others)
    doubts = [step[2] for place, step in enumerate(own) if place != at] or [own[at][2]]
    return [
        usual,
        _mean(before or [usual]),
        _mean(after or [usual]),
        min(before, default=usual),
        min(after, default=usual),
        before[-1] if before else usual,
        after[0] if after else usual,
        min(_MANY_WRONG, sum(reward < 0.5 for reward in before)) / _MANY_WRONG,
        min(_MANY_WRONG, sum(reward < 0.5 for reward in after)) / _MANY_WRONG,
        _mean(doubts),
    ]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _standard(features: Floats, means: Floats | Sequence[float], scales: Floats | Sequence[float]) -> Floats:
    standard: Floats = np.clip((features - np.asarray(means)) / np.asarray(scales), -_FURTHEST, _FURTHEST)
    return standard


def _terms(standard: Floats) -> Floats:
    """The features, and the products of any two of them."""
    pairs = combinations_with_replacement(range(standard.shape[1]), 2)
    return np.column_stack([standard, *(standard[:, i] * standard[:, j] for i, j in pairs)])


def fit(solutions: Iterable[tuple[Sequence[Votes], Sequence[bool | None]]], *, position: bool = False) -> Calibrator:
    """Learn from solutions as (votes by step, whether each step is correct or None).

    Raises InputError unless some labelled steps are correct and some wrong, MissingExtra without scikit-learn.
    """
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise MissingExtra(
            "fitting a calibration needs scikit-learn", hint="pip install 'rprm-jobs[calibrate]'"
        ) from error
    rows, truths = _labelled(solutions, position)
    if not 0 < truths.sum() < len(truths):
        raise InputError(
            f"there are {int(truths.sum())} correct and {int(len(truths) - truths.sum())} wrong steps with a label,"
            " and a calibration needs both",
            hint="name jobs whose solutions have labels",
        )
    means, scales = rows.mean(axis=0), _scale(rows)
    terms = _terms(_standard(rows, means, scales))
    term_means, term_scales = terms.mean(axis=0), _scale(terms)
    model = LogisticRegression(C=_STRENGTH, max_iter=1000)
    model.fit((terms - term_means) / term_scales, truths)
    fitted = Calibrator(
        names=feature_names(position=position),
        means=tuple(means.tolist()),
        scales=tuple(scales.tolist()),
        term_means=tuple(term_means.tolist()),
        term_scales=tuple(term_scales.tolist()),
        weights=tuple(model.coef_[0].tolist()),
        intercept=float(model.intercept_[0]),
        threshold=0.5,
        steps=len(truths),
        position=position,
    )
    return msgspec.structs.replace(fitted, threshold=best_threshold(fitted._probabilities(rows), truths))


def _labelled(
    solutions: Iterable[tuple[Sequence[Votes], Sequence[bool | None]]], position: bool
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    rows: list[Floats] = []
    truths: list[bool] = []
    for votes, correct in solutions:
        places, features = describe(votes, position=position)
        known = [at for at, place in enumerate(places) if correct[place] is not None]
        rows.append(features[known])
        truths += [bool(correct[places[at]]) for at in known]
    width = len(feature_names(position=position))
    return np.concatenate([np.empty((0, width)), *rows]), np.array(truths, dtype=np.bool_)


def _scale(values: Floats) -> Floats:
    spread = np.asarray(values.std(axis=0))
    return np.where(spread > 1e-12, spread, 1.0)


def best_threshold(rewards: Floats, truths: npt.NDArray[np.bool_]) -> float:
    """The threshold, in hundredths, at which `step_score` is highest; of equals the one nearest to 0.5."""
    thresholds = [i / 100 for i in range(1, 100)]
    return max(thresholds, key=lambda at: (round(step_score(rewards, truths, at), 9), -abs(at - 0.5)))


def step_score(rewards: Floats, truths: npt.NDArray[np.bool_], threshold: float) -> float:
    """The mean of the F1 of correct steps and that of wrong ones, in percent, as PRMBench has it."""
    called = rewards >= threshold
    missed = int((called != truths).sum())
    hits = int((called & truths).sum()), int((~called & ~truths).sum())
    return sum(200.0 * hit / (2 * hit + missed) if hit else 0.0 for hit in hits) / 2
