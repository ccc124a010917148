"""The contexts of a step that a plan tells apart: the reward before it, earlier calls of wrong, and the step's place.

A judge's votes copy each other along a solution: behind a step of ten Yes the next one mostly gets ten too, behind a
wrong one nearly every step is disputed. So a step's context says how many Yes to expect before any was sampled.
"""

from __future__ import annotations

from bisect import bisect_left

from rprm_jobs.stopping.context import StepContext

_SHARES, _WRONG, _PLACES = 5, 3, (0, 2, 5, 9)
CELLS = _SHARES * _WRONG * (len(_PLACES) + 1)


def cell_of(context: StepContext, threshold: float) -> int:
    """The cell of a step, in 0..CELLS - 1.

    It is of the nearest earlier reward in fifths (a step without any counts as behind a right one), of how many earlier
    steps were called wrong (0, 1, 2 and more), and of the step's place (the 1st, to the 3rd, 6th, 10th, and behind).
    """
    earlier = [reward for reward in context.earlier if reward is not None]
    share = min(int(_SHARES * earlier[-1]), _SHARES - 1) if earlier else _SHARES - 1
    wrong = min(sum(reward < threshold for reward in earlier), _WRONG - 1)
    return (share * _WRONG + wrong) * (len(_PLACES) + 1) + bisect_left(_PLACES, context.position)
