"""Critiques where the screen is unsure: a cheaper judge's score of the step counts as so many critiques.

The posterior is that of `adaptive` with the screen's P(correct) added as `weight` votes. So a step of which the screen
is sure gets no critique at all, and one on which a critique contradicts the screen gets more. The reward is the mean of
the critiques and the screen, weighted in the same way (`rprm_jobs.aggregation.step_reward`): the call that is weighed
is the call that is made. A step without a screen's score is judged as by `adaptive`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rprm_jobs.stopping.adaptive import Adaptive
from rprm_jobs.stopping.beta import beta_cdf
from rprm_jobs.stopping.context import NO_CONTEXT, StepContext
from rprm_jobs.stopping.tally import Tally, fewest
from rprm_jobs.types import Critique

_PRIOR = 0.3


@dataclass(frozen=True, slots=True)
class Cascade:
    """At most `k` critiques; stops at `confidence`, the screen counting as `weight` > 0 critiques."""

    k: int
    threshold: float
    confidence: float
    weight: float
    in_order: ClassVar[bool] = False

    def more(self, critiques: Sequence[Critique], context: StepContext = NO_CONTEXT) -> int:
        """0 when the step is decided, else the fewest critiques after which it could be."""
        screen = context.screen
        if screen is None:
            return Adaptive(self.k, self.threshold, self.confidence, min(3, self.k)).more(critiques)
        return fewest(lambda tally: self._decided(tally, screen), Tally.of(critiques, self.k))

    def _decided(self, tally: Tally, screen: float) -> bool:
        parsed, total = tally.parsed + self.weight, tally.total + self.weight * screen
        if not tally.left:
            return True
        called_wrong = total / parsed < self.threshold
        below = beta_cdf(self.threshold, _PRIOR + total, _PRIOR + parsed - total)
        if (below if called_wrong else 1.0 - below) >= self.confidence:
            return True
        most = parsed + tally.left
        return total / most >= self.threshold or (total + tally.left) / most < self.threshold
