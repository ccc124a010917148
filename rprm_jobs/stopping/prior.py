"""How many Yes a judge gives among its K critiques of a step: the published rates, and a prior fitted to a pilot.

A prior is a list of K + 1 weights, entry y for y Yes of K. It is all that the `planned` rule knows of a job.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from rprm_jobs.errors import ConfigError
from rprm_jobs.words import counted

# Ten votes on each of so many PRMBench steps by R-PRM-7B-SFT.
PUBLISHED_STEPS = 83_456
PUBLISHED = (0.090, 0.036, 0.028, 0.026, 0.028, 0.026, 0.034, 0.043, 0.063, 0.118, 0.509)

Seen = Mapping[tuple[int, int], float]

_ROUNDS = 200
_SETTLED = 1e-9
# Before any vote: as Beta(0.3, 0.3), the prior of `adaptive`, and worth as much as this many steps.
_PSEUDO_STEPS = 2.0
_SHAPE = 0.3


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


def drawn(k: int, yes: int, n: int, y: int) -> float:
    """Probability of `y` Yes among `n` votes drawn without replacement from `k` votes with `yes` Yes."""
    if not (0 <= y <= yes and 0 <= n - y <= k - yes):
        return 0.0
    return math.comb(yes, y) * math.comb(k - yes, n - y) / math.comb(k, n)


def fit_prior(seen: Seen, k: int) -> tuple[float, ...]:
    """The most likely prior, given how often steps were left with `(votes, Yes)`, smoothed by a few pseudo-steps.

    Steps that a rule stopped early count as what they are, `n` of `k` votes seen: when to stop was decided from the
    votes alone, so the likelihood needs no correction and the prior may be fitted again as votes come in (expectation
    maximisation over the Yes votes that were not sampled).
    """
    start = _before_any_vote(k)
    weights = start
    for _ in range(_ROUNDS):
        expected = [_PSEUDO_STEPS * weight for weight in start]
        for (n, y), count in seen.items():
            likely = [weights[yes] * drawn(k, yes, n, y) for yes in range(k + 1)]
            total = math.fsum(likely)
            for yes in range(k + 1):
                expected[yes] += count * likely[yes] / total
        last, weights = weights, normalised(expected)
        if max(abs(a - b) for a, b in zip(last, weights, strict=True)) < _SETTLED:
            break
    return weights


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


def whole_votes(total: float) -> int:
    """A sum of votes as a number of Yes."""
    return math.floor(total + 0.5)


def _before_any_vote(k: int) -> tuple[float, ...]:
    def log_beta(a: float, b: float) -> float:
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)

    return normalised(
        [
            math.comb(k, y) * math.exp(log_beta(y + _SHAPE, k - y + _SHAPE) - log_beta(_SHAPE, _SHAPE))
            for y in range(k + 1)
        ]
    )
