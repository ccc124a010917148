"""What a stopping rule does to a benchmark's score: PRMBench's, over the labelled steps of recorded votes.

The score of the rule and that of all critiques come from the same problems, so their difference has a paired interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rprm_jobs.evaluation.bootstrap import DRAWS, interval
from rprm_jobs.stopping.recorded import RecordedSolution

Counts = npt.NDArray[np.float64]
_RIGHT_CALLED_RIGHT, _RIGHT_CALLED_WRONG, _WRONG_CALLED_RIGHT, _WRONG_CALLED_WRONG = range(4)


@dataclass(frozen=True, slots=True)
class StepScore:
    """`score` is the mean of the F1 of right steps and that of wrong ones, in percent, as PRMBench has it.

    `difference` is from the score of all critiques, `low` to `high` its 95% interval over resampled problems; both are
    means over the random orders of the votes.
    """

    score: float
    difference: float
    low: float
    high: float

    def as_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


class ScoreCounter:
    """Counts the calls of a rule (`add`) on solutions whose calls by all critiques are counted from the start."""

    def __init__(self, solutions: Sequence[RecordedSolution], full: Sequence[Sequence[float | None]], threshold: float):
        self._solutions, self._threshold = solutions, threshold
        names = {
            name: place for place, name in enumerate(dict.fromkeys(self._problem(i) for i in range(len(solutions))))
        }
        self._places = [names[self._problem(index)] for index in range(len(solutions))]
        self._full, self._ruled = (np.zeros((len(names), 4)) for _ in range(2))
        for index, rewards in enumerate(full):
            self._count(self._full, index, rewards)

    def _problem(self, index: int) -> str | int:
        # A solution without a problem's name is a problem of its own.
        problem = self._solutions[index].problem
        return index if problem is None else problem

    def add(self, index: int, rewards: Sequence[float | None]) -> None:
        """Count the calls on one solution in one order of its votes."""
        self._count(self._ruled, index, rewards)

    def _count(self, counts: Counts, index: int, rewards: Sequence[float | None]) -> None:
        for reward, wrong in zip(rewards, self._solutions[index].wrong, strict=True):
            if reward is not None and wrong is not None:
                called_wrong = reward < self._threshold
                counts[self._places[index], 2 * wrong + called_wrong] += 1

    def score(self, seed: int = 0) -> StepScore | None:
        """The score so far; None where no labelled step was counted."""
        if not self._ruled.any():
            return None
        problems = len(self._ruled)
        weights = np.random.default_rng(seed).multinomial(problems, np.full(problems, 1 / problems), DRAWS)
        low, high = interval(_scores(weights @ self._ruled) - _scores(weights @ self._full))
        ruled, full = (float(_scores(counts.sum(axis=0, keepdims=True))[0]) for counts in (self._ruled, self._full))
        return StepScore(ruled, ruled - full, low, high)


def _scores(counts: Counts) -> Counts:
    missed = counts[:, _RIGHT_CALLED_WRONG] + counts[:, _WRONG_CALLED_RIGHT]
    return np.asarray((_f1(counts[:, _RIGHT_CALLED_RIGHT], missed) + _f1(counts[:, _WRONG_CALLED_WRONG], missed)) / 2)


def _f1(hits: Counts, missed: Counts) -> Counts:
    every = 2 * hits + missed
    return np.divide(200.0 * hits, every, out=np.zeros_like(every), where=every > 0)
