"""The adaptive rule: its posterior, its bounds, and what it costs on the published votes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rprm_jobs.stopping.adaptive import Adaptive, below, borders
from rprm_jobs.stopping.beta import beta_cdf
from rprm_jobs.stopping.simulate import critique_of

SHAPES = st.floats(0.05, 60)


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1), SHAPES)
def test_the_distribution_function_has_its_closed_forms(x: float, a: float) -> None:
    assert beta_cdf(x, 1, 1) == pytest.approx(x, abs=1e-12)
    assert beta_cdf(x, a, 1) == pytest.approx(x**a, abs=1e-11)
    assert beta_cdf(0.5, a, a) == pytest.approx(0.5, abs=1e-11)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.001, 0.999), SHAPES, SHAPES)
def test_the_distribution_function_mirrors_and_recurs(x: float, a: float, b: float) -> None:
    assert beta_cdf(x, a, b) == pytest.approx(1 - beta_cdf(1 - x, b, a), abs=1e-10)
    # I(a + 1, b) = I(a, b) - x^a (1 - x)^b / (a B(a, b)), DLMF 8.17.20.
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    step = math.exp(a * math.log(x) + b * math.log1p(-x) - log_beta) / a
    assert beta_cdf(x, a + 1, b) == pytest.approx(beta_cdf(x, a, b) - step, abs=1e-10)


def test_values_of_the_posterior() -> None:
    # Checked with a library of arbitrary precision.
    assert 1 - below(2.0, 2, 0.5) == pytest.approx(0.950391411565507, abs=1e-12)
    assert below(0.0, 0, 0.5) == pytest.approx(0.5)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 20), st.floats(0.01, 0.99), st.floats(0.51, 0.999), st.floats(0, 1))
def test_the_borders_are_where_the_posterior_reaches_the_confidence(
    parsed: int, threshold: float, confidence: float, at: float
) -> None:
    wrong_to, right_from = borders(parsed, threshold, confidence)
    total = at * parsed
    if abs(total - wrong_to) > 1e-6:
        assert (below(total, parsed, threshold) >= confidence) is (total < wrong_to)
    if abs(total - right_from) > 1e-6:
        assert (below(total, parsed, threshold) <= 1 - confidence) is (total > right_from)


@pytest.mark.parametrize(
    ("votes", "more"),
    [
        ([], 3),
        ([1.0], 2),
        ([1.0, 1.0, 1.0], 0),
        ([0.0, 0.0, 0.0], 0),
        ([1.0, 0.0, 1.0], 3),
        ([0.9, 0.95, 0.9], 1),
        ([1.0, 1.0, None], 1),
    ],
)
def test_how_many_of_ten(votes: list[float | None], more: int) -> None:
    assert Adaptive(10, 0.5).more([critique_of(k, share) for k, share in enumerate(votes)]) == more


def test_the_bounds_hold_whatever_the_posterior_says() -> None:
    yes = [critique_of(k, 1.0) for k in range(10)]
    assert Adaptive(10, 0.5, min_k=7).more(yes[:5]) == 2
    assert Adaptive(2, 0.5, min_k=3).more([]) == 2
    assert Adaptive(2, 0.5, min_k=3).more(yes[:2]) == 0


def test_a_stop_is_never_against_the_mean() -> None:
    # At a threshold of 0.999 the prior is sure that a judge's share of Yes lies below it; the mean of 1.0 does not.
    rule = Adaptive(10, 0.999, confidence=0.6, min_k=1)
    assert below(1.0, 1, 0.999) > 0.6
    assert rule.more([critique_of(0, 1.0)]) > 0
