"""Stops a step when a posterior over its votes is confident of the call: cheaper than `exact`, at a small risk.

The rate of Yes among the judge's critiques has the prior Beta(0.3, 0.3), since critiques are mostly unanimous. A
critique counts by its P(Yes): 0.9 is nine tenths of a Yes and one of a No.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from rprm_jobs.stopping.beta import beta_cdf
from rprm_jobs.stopping.context import NO_CONTEXT, StepContext
from rprm_jobs.stopping.exact import certain
from rprm_jobs.stopping.tally import Tally, fewest
from rprm_jobs.types import Critique

_PRIOR = 0.3
_HALVINGS = 40


def below(total: float, parsed: int, threshold: float) -> float:
    """Posterior probability, in [0, 1], that the rate of Yes is below `threshold`, after votes of this sum."""
    return beta_cdf(threshold, _PRIOR + total, _PRIOR + parsed - total)


@lru_cache(maxsize=65536)
def borders(parsed: int, threshold: float, confidence: float) -> tuple[float, float]:
    """The sum of votes up to which the step is surely wrong, and that from which it is surely right.

    -inf and inf where no sum is enough. The posterior falls as the sum grows, so a bisection finds each once for all.
    """
    return (
        _largest_sum(parsed, lambda total: below(total, parsed, threshold) >= confidence),
        parsed - _largest_sum(parsed, lambda rest: below(parsed - rest, parsed, threshold) <= 1.0 - confidence),
    )


def _largest_sum(most: float, holds: Callable[[float], bool]) -> float:
    if not holds(0.0):
        return -math.inf
    if holds(most):
        return most
    low, high = 0.0, float(most)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


@dataclass(frozen=True, slots=True)
class Adaptive:
    """At most `k` critiques, at least `min_k` of them with a verdict; stops at `confidence`, or when it is certain.

    Two Yes of two are 95.04% sure by this posterior, and wrong twice as often as the stop at three; so the least is 3.
    """

    k: int
    threshold: float
    confidence: float = 0.95
    min_k: int = 3
    in_order: ClassVar[bool] = False

    def more(self, critiques: Sequence[Critique], context: StepContext = NO_CONTEXT) -> int:  # noqa: ARG002
        """0 when the step is decided, else the fewest critiques after which it could be."""
        tally = Tally.of(critiques, self.k)
        missing = min(self.min_k - tally.parsed, tally.left)
        return missing if missing > 0 else fewest(self._decided, tally)

    def _decided(self, tally: Tally) -> bool:
        if certain(tally, self.threshold):
            return True
        if not tally.parsed:
            return False
        wrong_to, right_from = borders(tally.parsed, self.threshold, self.confidence)
        # Near the ends of [0, 1] the prior may outweigh the mean, but the call is the mean's.
        called_wrong = tally.total / tally.parsed < self.threshold
        return tally.total <= wrong_to if called_wrong else tally.total >= right_from
