"""What the stored critiques of one job show without judging again: F1 by K and by threshold, calibration, position.

F1 is in percent, votes and rewards are in [0, 1]; steps count from 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rprm_jobs.errors import InputError
from rprm_jobs.evaluation.metrics import NO_ERROR, f1

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RESAMPLES = 100
_NO_PREDICTION = -2


@dataclass(frozen=True, slots=True)
class LabelledVotes:
    """One labelled solution with the votes of its critiques, as [step][critique]; None: no verdict.

    `label` is the 0-based first wrong step, -1 for none. `step_labels` (-1 wrong, else right, None unknown) may say
    more about the steps than the label does.
    """

    label: int
    votes: tuple[tuple[float | None, ...], ...]
    step_labels: tuple[int | None, ...] | None = None

    def truths(self) -> list[bool | None]:
        """Whether each step is right, as far as the labels say: nothing is known about what follows a first error."""
        if self.step_labels is not None:
            return [None if label is None else label >= 0 for label in self.step_labels]
        first = len(self.votes) if self.label == NO_ERROR else self.label
        return [True if step < first else False if step == first else None for step in range(len(self.votes))]


@dataclass(frozen=True, slots=True)
class F1Point:
    """F1 at `at` (critiques a step, or threshold); `low` to `high` hold 95% of the resamples. `n` have a prediction."""

    at: float
    f1: float
    low: float
    high: float
    n: float


@dataclass(frozen=True, slots=True)
class Bin:
    """The `n` steps whose reward is in [low, high): their mean reward, and the fraction of them that is right."""

    low: float
    high: float
    n: int
    reward: float
    right: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Reliability of the reward as a probability of being right. `error` is the expected calibration error."""

    bins: tuple[Bin, ...]
    error: float
    brier: float


@dataclass(frozen=True, slots=True)
class PositionPoint:
    """How often the call of the step at this 0-based position is right, over `n` steps whose truth is known."""

    position: int
    n: int
    accuracy: float


class _Steps:
    """The steps of all solutions under one another, votes padded with NaN."""

    def __init__(self, judged: Sequence[LabelledVotes]) -> None:
        lengths = [len(solution.votes) for solution in judged]
        if not judged or not all(lengths):
            raise InputError("there is no judged step to draw a curve from", hint="name a job that has finished")
        rows = [votes for solution in judged for votes in solution.votes]
        self.stored: Ints = np.array([len(row) for row in rows], dtype=np.int64)
        self.votes: Floats = np.full((len(rows), self.stored.max()), np.nan)
        for at, row in enumerate(rows):
            self.votes[at, : len(row)] = [np.nan if vote is None else vote for vote in row]
        self.starts: Ints = np.cumsum([0, *lengths[:-1]], dtype=np.int64)
        self.position: Ints = np.concatenate([np.arange(n, dtype=np.int64) for n in lengths])
        self.labels: Ints = np.array([solution.label for solution in judged], dtype=np.int64)

    def rewards(self, votes: Floats) -> Floats:
        """Mean of each row, NaN where nothing in it was parsed."""
        parsed = ~np.isnan(votes)
        counts = parsed.sum(axis=1)
        sums = np.where(parsed, votes, 0.0).sum(axis=1)
        means: Floats = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
        return means

    def shuffled(self, rng: np.random.Generator) -> Floats:
        """Each row in random order; the padding stays behind, critiques without a verdict move like any other."""
        keys = rng.random(self.votes.shape) + (np.arange(self.votes.shape[1]) >= self.stored[:, None])
        return np.take_along_axis(self.votes, np.argsort(keys, axis=1), axis=1)

    def predictions(self, rewards: Floats, threshold: float) -> Ints:
        """First error of each solution, -1 for none, -2 where it is unknown (see `first_error`)."""
        beyond = len(self.position)
        missing = np.isnan(rewards)
        stops = np.where(missing | (rewards < threshold), self.position, beyond)
        first = np.minimum.reduceat(stops, self.starts)
        blind = np.minimum.reduceat(np.where(missing, self.position, beyond), self.starts)
        return np.where(first == beyond, NO_ERROR, np.where(blind == first, _NO_PREDICTION, first))

    def f1(self, predictions: Ints) -> tuple[float, int]:
        """F1, a missing prediction being a miss, and how many there are. Raises InputError when a kind is missing."""
        hits = predictions == self.labels
        accuracies = []
        for kind, name in ((self.labels != NO_ERROR, "erroneous"), (self.labels == NO_ERROR, "correct")):
            if not kind.any():
                raise InputError(f"no {name} solution has rewards, so there is no F1", hint="judge some of both kinds")
            accuracies.append(100.0 * float(hits[kind].mean()))
        return f1(*accuracies), int((predictions != _NO_PREDICTION).sum())


def f1_by_k(
    judged: Sequence[LabelledVotes], ks: Sequence[int], threshold: float, *, resamples: int = RESAMPLES, seed: int = 0
) -> list[F1Point]:
    """F1 with `k` critiques a step, drawn without replacement from those stored. Raises InputError for a larger k."""
    steps = _Steps(judged)
    fewest = int(steps.stored.min())
    if not ks or min(ks) < 1 or max(ks) > fewest:
        raise InputError(
            f"k in {list(ks)} cannot be drawn from {fewest} stored critiques of a step",
            hint=f"choose k in 1..{fewest}",
        )
    rng = np.random.default_rng(seed)
    by_k: dict[int, list[tuple[float, int]]] = {k: [] for k in ks}
    for _ in range(resamples):
        shuffled = steps.shuffled(rng)
        for k in ks:
            by_k[k].append(steps.f1(steps.predictions(steps.rewards(shuffled[:, :k]), threshold)))
    return [_point(k, by_k[k]) for k in ks]


def _point(k: int, resampled: Sequence[tuple[float, int]]) -> F1Point:
    values = [value for value, _ in resampled]
    low, high = np.percentile(values, [2.5, 97.5])
    mean = math.fsum(values) / len(values)
    return F1Point(k, mean, float(low), float(high), sum(n for _, n in resampled) / len(resampled))


def f1_by_threshold(judged: Sequence[LabelledVotes], thresholds: Sequence[float]) -> list[F1Point]:
    """F1 of the same rewards at each threshold; there is nothing to resample, so `low` and `high` are the F1."""
    steps = _Steps(judged)
    rewards = steps.rewards(steps.votes)
    points = []
    for threshold in thresholds:
        value, n = steps.f1(steps.predictions(rewards, threshold))
        points.append(F1Point(threshold, value, value, value, n))
    return points


def calibration(judged: Sequence[LabelledVotes], bins: int = 10) -> Calibration:
    """Rewards against how often such steps are right, in `bins` equal bins. Raises InputError when nothing is known."""
    reward, right = _known(judged)
    place = np.minimum((reward * bins).astype(np.int64), bins - 1)
    filled = []
    for at in np.unique(place):
        inside = place == at
        mean, fraction = float(reward[inside].mean()), float(right[inside].mean())
        filled.append(Bin(at / bins, (at + 1) / bins, int(inside.sum()), mean, fraction))
    error = sum(filled_bin.n * abs(filled_bin.reward - filled_bin.right) for filled_bin in filled) / len(reward)
    return Calibration(tuple(filled), error, float(((reward - right) ** 2).mean()))


def accuracy_by_position(judged: Sequence[LabelledVotes], threshold: float) -> list[PositionPoint]:
    """How often a step's call is right, by where it stands. Raises InputError when nothing is known."""
    reward, right = _known(judged)
    position = np.array([at for at, *_ in _known_steps(judged)], dtype=np.int64)
    hits = (reward >= threshold) == (right > 0)
    return [
        PositionPoint(int(at), int((position == at).sum()), float(hits[position == at].mean()))
        for at in np.unique(position)
    ]


def _known(judged: Sequence[LabelledVotes]) -> tuple[Floats, Floats]:
    known = _known_steps(judged)
    if not known:
        raise InputError("no step has both a reward and a label", hint="name a job whose solutions have labels")
    return np.array([reward for _, reward, _ in known]), np.array([float(right) for *_, right in known])


def _known_steps(judged: Sequence[LabelledVotes]) -> list[tuple[int, float, bool]]:
    """`(position, reward, right)` of every step of which all three are known."""
    known = []
    for solution in judged:
        for position, (votes, truth) in enumerate(zip(solution.votes, solution.truths(), strict=True)):
            parsed = [vote for vote in votes if vote is not None]
            if parsed and truth is not None:
                known.append((position, math.fsum(parsed) / len(parsed), truth))
    return known
