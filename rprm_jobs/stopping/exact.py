"""Stops a step when the remaining critiques cannot change the call, whatever they say.

The reward is a mean of P(Yes), so a remaining critique is not a vote of 0 or 1 but anything in [0, 1], or nothing when
it has no verdict. The call is out of reach when the lowest mean still possible is not below the threshold, or the
highest one is below it. Where all votes are 0 or 1 this is the usual majority rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rprm_jobs.stopping.context import NO_CONTEXT, StepContext
from rprm_jobs.stopping.tally import Tally, fewest
from rprm_jobs.types import Critique

# The highest mean is a maximum over how many of the rest get parsed; rounding may place it wrong by some 1e-16.
_ROUNDING = 1e-12


def certain(tally: Tally, threshold: float) -> bool:
    """Whether the call at `threshold` is the same for every completion by at most `left` more critiques.

    Never before one critique was parsed: a step without any has no call.
    """
    if not tally.parsed:
        return False
    if not tally.left:
        return True
    most = tally.parsed + tally.left
    # Zeros from all the rest give the lowest mean. Rounding is monotone, so this bound needs no margin.
    if tally.total / most >= threshold:
        return True
    # Ones from all the rest give the highest: more ones lift a mean that is at most 1.
    return (tally.total + tally.left) / most < threshold - _ROUNDING


@dataclass(frozen=True, slots=True)
class Exact:
    """At most `k` critiques, and no more once the call is `certain`; the call is that of all `k`."""

    k: int
    threshold: float
    in_order: ClassVar[bool] = False

    def more(self, critiques: Sequence[Critique], context: StepContext = NO_CONTEXT) -> int:  # noqa: ARG002
        """0 when the call is certain, else the fewest critiques after which it could be."""
        return fewest(lambda tally: certain(tally, self.threshold), Tally.of(critiques, self.k))
