"""The fixed-K rule, what all rules have in common, and the way from a recipe to a rule."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rprm_jobs.errors import ConfigError
from rprm_jobs.stopping import FixedK, make_rule, resolve_options
from rprm_jobs.stopping.adaptive import Adaptive
from rprm_jobs.stopping.exact import Exact
from rprm_jobs.stopping.prior import PUBLISHED
from rprm_jobs.stopping.simulate import critique_of
from rprm_jobs.types import Critique, Finish, Verdict

ONE = Critique(0, 0, Verdict.UNPARSED, None, 1, Finish.STOP, "")
ALL = [{"kind": "fixed"}, {"kind": "exact"}, {"kind": "adaptive"}, {"kind": "planned", "prior": list(PUBLISHED)}]
SHARES = st.lists(st.one_of(st.none(), st.floats(0, 1), st.sampled_from([0.0, 1.0])), min_size=10, max_size=10)
# Few, since a plan is compiled for each.
THRESHOLDS = st.sampled_from([0.0, 0.3, 0.5, 0.61, 1.0])


@pytest.mark.parametrize(("have", "more"), [(0, 4), (1, 3), (4, 0), (5, 0)])
def test_fixed_k_asks_for_what_is_missing_and_no_more(have: int, more: int) -> None:
    assert FixedK(4).more([ONE] * have) == more


def test_the_recipes_rule() -> None:
    assert make_rule({"kind": "fixed"}, k=3, threshold=0.5) == FixedK(3)
    assert make_rule({"kind": "exact"}, k=3, threshold=0.4) == Exact(3, 0.4)
    assert make_rule({"kind": "adaptive", "min_k": 2}, k=3, threshold=0.4) == Adaptive(3, 0.4, 0.95, 2)


@pytest.mark.parametrize("options", [{}, {"kind": "no-such"}, {"kind": None}])
def test_an_unknown_policy_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="unknown stopping rule"):
        make_rule(options, k=3, threshold=0.5)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"kind": "fixed", "confidence": 0.9}, "fixed rule.*confidence"),
        ({"kind": "adaptive", "confidence": 0.5}, "between 0.5 and 1"),
        ({"kind": "adaptive", "confidence": 1.0}, "between 0.5 and 1"),
        ({"kind": "adaptive", "confidence": "high"}, "adaptive rule.*confidence"),
        ({"kind": "adaptive", "min_k": 0}, "below 1"),
        ({"kind": "planned", "prior": "flat"}, "planned rule.*prior"),
        ({"kind": "planned", "pilot": 0}, "pilot=0 is below 1"),
        ({"kind": "planned", "prior": [1, 2]}, "says nothing about k=3"),
        ({"kind": "planned", "prior": [0, 0, 0, 0]}, "needs K"),
        ({"kind": "planned", "prior": [1, -1, 1, 1]}, "needs K"),
        ({"kind": "planned", "prior": [1, 1, 1, 1], "changed": 1.5}, "not in"),
        ({"kind": "planned", "price": 0.5}, "price=0.5 is not a number of critiques"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        make_rule(options, k=3, threshold=0.5)


def test_defaults_are_written_out_so_that_equal_recipes_have_equal_digests() -> None:
    assert resolve_options({"kind": "adaptive"}) == {"kind": "adaptive", "confidence": 0.95, "min_k": 3}
    assert resolve_options({"kind": "fixed"}) == {"kind": "fixed"}


@pytest.mark.parametrize("options", ALL, ids=lambda o: o["kind"])
@settings(max_examples=60, deadline=None)
@given(SHARES, THRESHOLDS)
def test_a_batch_buys_what_one_at_a_time_would_have_bought(
    options: dict[str, Any], votes: list[float | None], threshold: float
) -> None:
    rule = make_rule(options, k=len(votes), threshold=threshold)
    critiques = [critique_of(k, share) for k, share in enumerate(votes)]
    batched = 0
    while more := rule.more(critiques[:batched]):
        batched += more
    assert batched == next(n for n in range(len(votes) + 1) if rule.more(critiques[:n]) == 0)


@pytest.mark.parametrize("options", ALL, ids=lambda o: o["kind"])
@settings(max_examples=60, deadline=None)
@given(SHARES, THRESHOLDS, st.integers(0, 10), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(
    options: dict[str, Any], votes: list[float | None], threshold: float, n: int, rng: Any
) -> None:
    rule = make_rule(options, k=len(votes), threshold=threshold)
    critiques = [critique_of(k, share) for k, share in enumerate(votes)][:n]
    assert rule.more(rng.sample(critiques, n)) == rule.more(critiques)


@pytest.mark.parametrize("options", ALL, ids=lambda o: o["kind"])
def test_critiques_without_a_verdict_decide_nothing_but_end_at_k(options: dict[str, Any]) -> None:
    rule = make_rule(options, k=10, threshold=0.5)
    assert all(rule.more([ONE] * n) > 0 for n in range(10))
    assert rule.more([ONE] * 10) == 0
    assert rule.more([ONE] * 12) == 0


def test_a_planned_rule_is_bounded_by_calls_or_by_price() -> None:
    assert resolve_options({"kind": "planned"}) == {
        "kind": "planned", "changed": 0.0025, "pilot": 500, "prior": None, "wrong": None
    }  # fmt: skip
    priced = resolve_options({"kind": "planned", "price": 30})
    assert priced == {"kind": "planned", "price": 30.0, "pilot": 500, "prior": None, "wrong": None}
    assert resolve_options(priced) == priced
    with pytest.raises(ConfigError, match="two bounds"):
        resolve_options({"kind": "planned", "price": 30, "changed": 0.01})


def test_a_higher_price_samples_more() -> None:
    prior = list(PUBLISHED)
    asked = [
        make_rule({"kind": "planned", "prior": prior, "price": price}, k=10, threshold=0.5).more([critique_of(0, 1.0)])
        for price in (30, 250)
    ]
    assert asked[0] == 0
    assert asked[1] > 0
