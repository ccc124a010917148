"""Stops where an optimal plan says so: dynamic programming over (votes so far, Yes so far) with a known prior.

The plan is compiled from how many Yes the judge's steps got in a pilot (see `prior`). If the prior is right, it is the
cheapest one among all that change at most a stated fraction of the calls, or the best one at a price of a changed call.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from rprm_jobs.errors import ConfigError
from rprm_jobs.stopping.cells import cell_of
from rprm_jobs.stopping.context import NO_CONTEXT, StepContext
from rprm_jobs.stopping.exact import certain
from rprm_jobs.stopping.prior import drawn, resized, whole_votes
from rprm_jobs.stopping.tally import Tally
from rprm_jobs.types import Critique

# What a changed call may cost, in critiques: beyond the last only certain calls stop a step.
_PRICES = (1.0, 1e12)
_HALVINGS = 32


@dataclass(frozen=True, slots=True)
class Plan:
    """`stop[n][y]` says whether to stop at y Yes of n votes; what it costs and changes where the prior is right.

    `critiques` is the mean per step, `changed` the fraction of steps in [0, 1] whose call is not that of all votes.
    """

    stop: tuple[tuple[bool, ...], ...]
    critiques: float
    changed: float


@dataclass(frozen=True, slots=True)
class _States:
    """By `[n][y]`: the chance that the next vote is Yes, and that the call at n votes is not the call at k."""

    yes_next: list[list[float]]
    changed: list[list[float]]
    possible: list[list[bool]]


@lru_cache(maxsize=64)
def compile_plan(
    prior: tuple[float, ...], k: int, threshold: float, changed: float, wrong: tuple[float, ...] | None = None
) -> Plan:
    """The cheapest plan that changes at most `changed` of the calls. Raises ConfigError for an unusable prior.

    `wrong[y]` is the fraction of steps with y Yes of k that are called wrong, by default 0 or 1 as whole votes have it.
    """
    states = _states(resized(prior, k), k, threshold, wrong)
    low, high = (math.log(price) for price in _PRICES)
    best = _solve(states, k, math.exp(high))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        plan = _solve(states, k, math.exp(middle))
        if plan.changed <= changed:
            best, high = plan, middle
        else:
            low = middle
    return best


# Those of some jobs, each with a plan for every cell.
@lru_cache(maxsize=1024)
def plan_at(
    prior: tuple[float, ...], k: int, threshold: float, price: float, wrong: tuple[float, ...] | None = None
) -> Plan:
    """The plan with the least `critiques + price * changed`: a changed call may cost `price` critiques.

    `wrong` is as in `compile_plan`. Raises ConfigError for an unusable prior.
    """
    return _solve(_states(resized(prior, k), k, threshold, wrong), k, price)


def _states(prior: tuple[float, ...], k: int, threshold: float, wrong: tuple[float, ...] | None) -> _States:
    if wrong is None:
        wrong = tuple(float(yes / k < threshold) for yes in range(k + 1))
    elif len(wrong) != k + 1 or not all(0 <= rate <= 1 for rate in wrong):
        raise ConfigError(
            f"wrong must have {k + 1} rates in 0..1, one for each number of Yes of {k}", hint="fit it to k critiques"
        )
    yes_next, changed, possible = [], [], []
    for n in range(k + 1):
        rows: tuple[list[float], list[float], list[bool]] = ([], [], [])
        for y in range(n + 1):
            weights = [prior[yes] * drawn(k, yes, n, y) for yes in range(k + 1)]
            total = math.fsum(weights)
            ahead = math.fsum(w * (yes - y) for yes, w in enumerate(weights)) / (k - n) if n < k else 0.0
            called_wrong = math.fsum(w * rate for w, rate in zip(weights, wrong, strict=True))
            other = total - called_wrong if n and y / n < threshold else called_wrong
            rows[0].append(ahead / total if total else 0.5)
            # What all k critiques say is the call itself.
            rows[1].append(0.0 if n == k else max(0.0, other / total) if total else 1.0)
            rows[2].append(total > 0)
        yes_next.append(rows[0])
        changed.append(rows[1])
        possible.append(rows[2])
    return _States(yes_next, changed, possible)


def _solve(states: _States, k: int, price: float) -> Plan:
    """Backward induction: stop where a changed call, at `price` critiques, is cheaper than going on."""
    stop = [[True] * (n + 1) for n in range(k + 1)]
    # Of what is to come from [n][y]: the price to pay, critiques, and the chance of a changed call.
    ahead = [(price * risk, 0.0, risk) for risk in states.changed[k]]
    for n in range(k - 1, -1, -1):
        now = []
        for y in range(n + 1):
            yes = states.yes_next[n][y]
            go = tuple(yes * a + (1 - yes) * b for a, b in zip(ahead[y + 1], ahead[y], strict=True))
            risk = states.changed[n][y]
            # Where the prior sees nothing it can promise nothing.
            stop[n][y] = n > 0 and states.possible[n][y] and price * risk <= 1 + go[0]
            now.append((price * risk, 0.0, risk) if stop[n][y] else (1 + go[0], 1 + go[1], go[2]))
        ahead = now
    return Plan(tuple(tuple(row) for row in stop), ahead[0][1], ahead[0][2])


@dataclass(frozen=True, slots=True)
class Planned:
    """At most `k` critiques, stopping where the plan does or the call is certain.

    The plan counts whole votes: the sum of the votes is rounded, so three critiques of 0.6 are two Yes of three.
    """

    k: int
    threshold: float
    plan: Plan
    in_order: ClassVar[bool] = False

    def more(self, critiques: Sequence[Critique], context: StepContext = NO_CONTEXT) -> int:  # noqa: ARG002
        """0 when the step is decided, else the fewest critiques after which it could be."""
        tally = Tally.of(critiques, self.k)
        yes = whole_votes(tally.total)
        if certain(tally, self.threshold) or self._stops(tally, yes):
            return 0
        for count in range(1, tally.left):
            unanimous = tally.after(count, 1.0), tally.after(count, 0.0)
            planned = self.plan.stop[tally.parsed + count][yes : yes + count + 1]
            if any(planned) or any(certain(ahead, self.threshold) for ahead in unanimous):
                return count
        return tally.left

    def _stops(self, tally: Tally, yes: int) -> bool:
        # The plan answers for the call of whole votes; where rounding made it another one, it is not asked.
        n = tally.parsed
        return n > 0 and self.plan.stop[n][yes] and (yes / n < self.threshold) is (tally.total / n < self.threshold)


@dataclass(frozen=True, slots=True)
class PlannedByContext:
    """As `Planned`, with a prior for each cell of a step's context, and the plan of that prior at this `price`.

    `priors[cell]` is for `cell_of` (`rprm_jobs.stopping.cells`). Raises ConfigError from `more` for an unusable prior.
    """

    k: int
    threshold: float
    price: float
    priors: tuple[tuple[float, ...], ...]
    wrong: tuple[float, ...] | None
    in_order: ClassVar[bool] = True

    def more(self, critiques: Sequence[Critique], context: StepContext = NO_CONTEXT) -> int:
        """0 when the step is decided, else the fewest critiques after which it could be."""
        prior = self.priors[cell_of(context, self.threshold)]
        plan = plan_at(prior, self.k, self.threshold, self.price, self.wrong)
        return Planned(self.k, self.threshold, plan).more(critiques)
