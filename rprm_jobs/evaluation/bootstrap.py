"""Bootstrap intervals: how far an F1 would move with other solutions of the same kind. Seeded, so a report repeats.

Erroneous and correct solutions are resampled apart, since a benchmark fixes how many there are of each. The hits of one
resample then are a binomial draw, which is what is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Draws = npt.NDArray[np.float64]

DRAWS = 2000
_LEVEL = 95.0


def f1_draws(hits: tuple[int, int], sizes: tuple[int, int], rng: np.random.Generator) -> Draws:
    """F1 in percent of DRAWS resamples; `hits` and `sizes` are (erroneous, correct), both sizes > 0."""
    error, correct = (
        100.0 * rng.binomial(size, hit / size, DRAWS) / size for hit, size in zip(hits, sizes, strict=True)
    )
    both = error + correct
    return np.divide(2 * error * correct, both, out=np.zeros(DRAWS), where=both > 0)


def interval(draws: Draws) -> tuple[float, float]:
    """The middle 95% of the draws."""
    low, high = np.percentile(draws, [(100 - _LEVEL) / 2, (100 + _LEVEL) / 2])
    return float(low), float(high)


def mean_draws(draws: Sequence[Draws]) -> Draws:
    """Draw by draw the mean of several, such as the F1s of the subsets."""
    return np.asarray(np.mean(draws, axis=0))
