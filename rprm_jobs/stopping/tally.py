"""What a step's critiques have said so far, and how many more it takes, at the least, before a rule could be satisfied.

Sampling that many at once wastes nothing: one at a time they would be sampled too, only one after the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rprm_jobs.aggregation import vote
from rprm_jobs.types import Critique


@dataclass(frozen=True, slots=True)
class Tally:
    """`parsed` critiques gave an opinion, their votes (each in [0, 1]) sum to `total`.

    `left` critiques may still be sampled; one without a verdict costs one and adds nothing.
    """

    parsed: int
    total: float
    left: int

    @classmethod
    def of(cls, critiques: Sequence[Critique], k: int) -> Tally:
        """Count the critiques of one step, of which at most `k` may be sampled."""
        votes = [value for critique in critiques if (value := vote(critique)) is not None]
        return cls(len(votes), math.fsum(votes), max(0, k - len(critiques)))

    def after(self, count: int, value: float) -> Tally:
        """The tally if the next `count` critiques all had this vote."""
        return Tally(self.parsed + count, self.total + count * value, self.left - count)


def fewest(decided: Callable[[Tally], bool], tally: Tally) -> int:
    """The least number of critiques after which `decided` could hold; 0 when it does, `left` when none suffices.

    Only unanimous continuations are tried, so `decided` must be a rule that these satisfy first.
    """
    if decided(tally):
        return 0
    for count in range(1, tally.left):
        if decided(tally.after(count, 1.0)) or decided(tally.after(count, 0.0)):
            return count
    return tally.left
