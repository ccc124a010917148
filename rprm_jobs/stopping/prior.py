"""How many Yes a judge gives among its K critiques of a step: the published rates, and what draws from them give.

A prior is a list of K + 1 weights, entry y for y Yes of K. It is all that the `planned` rule knows of a job.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from rprm_jobs.errors import ConfigError
from rprm_jobs.words import counted

# Ten votes on each of so many PRMBench steps by R-PRM-7B-SFT.
PUBLISHED_STEPS = 83_456
PUBLISHED = (0.090, 0.036, 0.028, 0.026, 0.028, 0.026, 0.034, 0.043, 0.063, 0.118, 0.509)


def normalised(weights: Sequence[float]) -> tuple[float, ...]:
    """The weights divided by their sum. Raises ConfigError for fewer than two, a negative one, or a zero sum."""
    total = math.fsum(weights)
    if len(weights) < 2 or min(weights) < 0 or not 0 < total < math.inf:
        raise ConfigError(
            f"a prior over Yes votes needs K + 1 weights of which none is negative, got {list(weights)[:12]}",
            hint="give the number of steps with 0, 1, ... K Yes votes",
        )
    return tuple(weight / total for weight in weights)


def resized(weights: Sequence[float], k: int) -> tuple[float, ...]:
    """The prior for `k` critiques where the weights are for more. Raises ConfigError where they are for fewer."""
    most = len(weights) - 1
    if k > most:
        raise ConfigError(
            f"a prior over {most} votes says nothing about k={k}",
            hint=f"fit it to {counted(k, 'critique')} a step, or use -k",
        )
    return tuple(
        math.fsum(weight * drawn(most, yes, k, y) for yes, weight in enumerate(normalised(weights)))
        for y in range(k + 1)
    )


@lru_cache(maxsize=2**16)
def drawn(k: int, yes: int, n: int, y: int) -> float:
    """Probability of `y` Yes among `n` votes drawn without replacement from `k` votes with `yes` Yes."""
    if not (0 <= y <= yes and 0 <= n - y <= k - yes):
        return 0.0
    return math.comb(yes, y) * math.comb(k - yes, n - y) / math.comb(k, n)


def whole_votes(total: float) -> int:
    """A sum of votes as a number of Yes."""
    return math.floor(total + 0.5)
