"""The distribution function of Beta(a, b), by the continued fraction of the incomplete beta function.

Formula: NIST Digital Library of Mathematical Functions, 8.17.22; evaluated by the modified Lentz method.
"""

from __future__ import annotations

import math

_EPSILON = 1e-14
_TINY = 1e-300
_MOST_TERMS = 10_000


def beta_cdf(x: float, a: float, b: float) -> float:
    """P(X <= x) for X ~ Beta(a, b), in [0, 1]; `a` and `b` > 0, `x` any number."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    # The fraction converges fast below the mean; above it, the mirrored one does.
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - _front(1.0 - x, b, a) * _fraction(1.0 - x, b, a)
    return _front(x, a, b) * _fraction(x, a, b)


def _front(x: float, a: float, b: float) -> float:
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return math.exp(a * math.log(x) + b * math.log1p(-x) - log_beta) / a


def _fraction(x: float, a: float, b: float) -> float:
    value = c = 1.0
    d = 0.0
    for term in range(_MOST_TERMS):
        coefficient = 1.0 if term == 0 else _coefficient(term, x, a, b)
        d = 1.0 / _away_from_zero(1.0 + coefficient * d)
        c = _away_from_zero(1.0 + coefficient / c)
        value *= c * d
        if abs(c * d - 1.0) < _EPSILON:
            break
    # The fraction above is 1 + 1 / (1 + d1 / (1 + ...)), one more than what is wanted.
    return value - 1.0


def _coefficient(term: int, x: float, a: float, b: float) -> float:
    m, odd = divmod(term, 2)
    if odd:
        return -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
    return m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
