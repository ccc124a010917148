"""Fitting a prior over Yes votes to the votes of a pilot, and of the steps that a rule has stopped since."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from rprm_jobs.stopping.cells import CELLS
from rprm_jobs.stopping.prior import drawn, normalised, whole_votes

# How often steps were left with (votes, Yes).
Seen = Mapping[tuple[int, int], float]

_ROUNDS = 200
_SETTLED = 1e-9
# Before any vote: as Beta(0.3, 0.3), the prior of `adaptive`, and worth as much as this many steps.
_PSEUDO_STEPS = 2.0
_SHAPE = 0.3
# A cell is as all steps are until it has more steps than these.
_CELL_PSEUDO_STEPS = 20.0


def fit_prior(
    seen: Seen, k: int, towards: Sequence[float] | None = None, pseudo_steps: float = _PSEUDO_STEPS
) -> tuple[float, ...]:
    """The most likely prior over 0..k Yes, given how often steps were left with `(votes, Yes)`.

    It is smoothed by `pseudo_steps` steps of the prior `towards`, by default that of `adaptive`. Steps that a rule
    stopped early count as what they are, `n` of `k` votes seen: when to stop was decided from the votes alone, so the
    likelihood needs no correction and the prior may be fitted again as votes come in (expectation maximisation over the
    Yes votes that were not sampled).
    """
    start = np.array(_before_any_vote(k) if towards is None else towards)
    states = list(seen)
    counts = np.array([seen[state] for state in states], float)
    likely = np.array([[drawn(k, yes, n, y) for yes in range(k + 1)] for n, y in states]).reshape(len(states), k + 1)
    weights = start
    for _ in range(_ROUNDS):
        expected = pseudo_steps * start + weights * ((counts / (likely @ weights)) @ likely)
        last, weights = weights, expected / expected.sum()
        if np.abs(last - weights).max() < _SETTLED:
            break
    return tuple(weights.tolist())


def fit_cells(seen: Mapping[int, Seen], common: Sequence[float], k: int) -> tuple[tuple[float, ...], ...]:
    """A prior for each cell (`rprm_jobs.stopping.cells`), shrunk towards the `common` one by 20 pseudo-steps."""
    return tuple(fit_prior(seen.get(cell, {}), k, common, _CELL_PSEUDO_STEPS) for cell in range(CELLS))


def fit_wrong(totals: Iterable[float], k: int, threshold: float) -> tuple[float, ...] | None:
    """Fraction of steps called wrong by the rounded number of Yes, given the sums of all k votes of some steps.

    None where every sum is whole: of votes the call is known. Otherwise a mean near the threshold may fall on either
    side of it, and how often it does is counted (Jeffreys' prior); the others are where they are.
    """
    seen, called_wrong = [0] * (k + 1), [0] * (k + 1)
    whole = True
    for total in totals:
        yes = whole_votes(total)
        seen[yes] += 1
        called_wrong[yes] += total / k < threshold
        whole = whole and total == yes
    if whole:
        return None
    return tuple(_wrong_rate(y, seen[y], called_wrong[y], k, threshold) for y in range(k + 1))


def _wrong_rate(yes: int, seen: int, called_wrong: int, k: int, threshold: float) -> float:
    if (yes + 0.5) / k <= threshold:
        return 1.0
    if (yes - 0.5) / k >= threshold:
        return 0.0
    return (called_wrong + 0.5) / (seen + 1)


def _before_any_vote(k: int) -> tuple[float, ...]:
    def log_beta(a: float, b: float) -> float:
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)

    return normalised(
        [
            math.comb(k, y) * math.exp(log_beta(y + _SHAPE, k - y + _SHAPE) - log_beta(_SHAPE, _SHAPE))
            for y in range(k + 1)
        ]
    )
