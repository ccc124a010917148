"""Bootstrap intervals: how far an F1 would move with other solutions of the same kind. Seeded, so a report repeats.

Erroneous and correct solutions are resampled apart, since a benchmark fixes how many there are of each. The hits of one
resample then are a binomial draw, which is what is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Draws = npt.NDArray[np.float64]

# Solutions that both judges, only the first, only the second, and neither got right.
Pairs = tuple[int, int, int, int]

DRAWS = 2000
_LEVEL = 95.0


def f1_draws(hits: tuple[int, int], sizes: tuple[int, int], rng: np.random.Generator) -> Draws:
    """F1 in percent of DRAWS resamples; `hits` and `sizes` are (erroneous, correct), both sizes > 0."""
    error, correct = (
        100.0 * rng.binomial(size, hit / size, DRAWS) / size for hit, size in zip(hits, sizes, strict=True)
    )
    return _f1(error, correct)


def interval(draws: Draws) -> tuple[float, float]:
    """The middle 95% of the draws."""
    low, high = np.percentile(draws, [(100 - _LEVEL) / 2, (100 + _LEVEL) / 2])
    return float(low), float(high)


def mean_draws(draws: Sequence[Draws]) -> Draws:
    """Draw by draw the mean of several, such as the F1s of the subsets."""
    return np.asarray(np.mean(draws, axis=0))


def paired_f1_draws(pairs: tuple[Pairs, Pairs], rng: np.random.Generator) -> tuple[Draws, Draws]:
    """F1s of two judges in percent over the same DRAWS resamples; `pairs` are of erroneous and of correct solutions."""
    (first_error, second_error), (first_correct, second_correct) = (_paired_accuracies(kind, rng) for kind in pairs)
    return _f1(first_error, first_correct), _f1(second_error, second_correct)


def _paired_accuracies(pairs: Pairs, rng: np.random.Generator) -> tuple[Draws, Draws]:
    counts = np.array(pairs, dtype=float)
    drawn = rng.multinomial(int(counts.sum()), counts / counts.sum(), DRAWS)
    size = counts.sum()
    return 100.0 * (drawn[:, 0] + drawn[:, 1]) / size, 100.0 * (drawn[:, 0] + drawn[:, 2]) / size


def _f1(error: Draws, correct: Draws) -> Draws:
    both = error + correct
    return np.divide(2 * error * correct, both, out=np.zeros(DRAWS), where=both > 0)


def mean_difference(first: Sequence[float], second: Sequence[float], rng: np.random.Generator) -> tuple[float, float]:
    """The middle 95% of the mean of `second` - `first`, with pairs drawn again."""
    differences = np.subtract(np.asarray(second, dtype=float), np.asarray(first, dtype=float))
    values, counts = np.unique(differences, return_counts=True)
    means = [rng.multinomial(len(differences), counts / len(differences)) @ values for _ in range(DRAWS)]
    return interval(np.asarray(means) / len(differences))
