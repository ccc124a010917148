"""The plan is optimal for its prior, says truly what it costs, and holds on votes that it was not fitted to."""

from __future__ import annotations

import random
from collections import Counter
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rprm_jobs.errors import ConfigError
from rprm_jobs.stopping import make_rule
from rprm_jobs.stopping.fit import fit_prior, fit_wrong
from rprm_jobs.stopping.planned import Planned, compile_plan, plan_at
from rprm_jobs.stopping.prior import PUBLISHED, drawn, normalised, resized
from rprm_jobs.stopping.simulate import critique_of, on_histogram, on_votes

WEIGHTS = st.lists(st.floats(0.01, 1), min_size=3, max_size=9).map(tuple)
PUBLISHED_SHARES = normalised(PUBLISHED)


@settings(max_examples=40, deadline=None)
@given(WEIGHTS, st.sampled_from([0.3, 0.5, 0.7]), st.sampled_from([0.0, 0.01, 0.1]))
def test_a_plan_says_what_it_costs_and_keeps_to_its_bound(
    weights: tuple[float, ...], threshold: float, bound: float
) -> None:
    k = len(weights) - 1
    plan = compile_plan(weights, k, threshold, bound)
    outcome = on_histogram(Planned(k, threshold, plan), weights, threshold)
    assert outcome.changed == pytest.approx(plan.changed, abs=1e-9)
    # Where the prior alone would go on, a certain call stops all the same; so it may be cheaper, never dearer.
    assert outcome.critiques <= plan.critiques + 1e-9
    assert plan.changed <= bound


@pytest.mark.parametrize("seed", range(6))
def test_no_rule_is_better_than_the_plan(seed: int) -> None:
    """Every stopping rule on four votes, tried."""
    rng = random.Random(seed)
    weights, threshold, k = normalised([rng.random() ** 2 for _ in range(5)]), 0.5, 4
    states = [(n, y) for n in range(1, k) for y in range(n + 1)]
    rules = [
        _outcome_of(dict(zip(states, choice, strict=True)), weights, threshold)
        for choice in product([True, False], repeat=len(states))
    ]
    for price in (1, 3, 5, 10, 15, 30, 100):
        plan = plan_at(weights, k, threshold, price)
        best = min(critiques + price * changed for critiques, changed in rules)
        assert plan.critiques + price * plan.changed == pytest.approx(best)


def _outcome_of(stop: dict[tuple[int, int], bool], weights: tuple[float, ...], threshold: float) -> tuple[float, float]:
    k = len(weights) - 1
    cost = changed = 0.0
    for yes, weight in enumerate(weights):
        reached = {(0, 0): 1.0}
        for n in range(k + 1):
            for y in range(n + 1):
                chance = reached.get((n, y), 0.0) * weight
                if n == k or stop.get((n, y), False):
                    cost += chance * n
                    changed += chance * ((y / n < threshold) is not (yes / k < threshold))
                    continue
                for got in (0, 1):
                    step = drawn(k - n, yes - y, 1, got)
                    reached[n + 1, y + got] = reached.get((n + 1, y + got), 0.0) + reached.get((n, y), 0.0) * step
    return cost, changed


def test_a_prior_of_more_votes_serves_a_smaller_k() -> None:
    assert resized([0, 0, 1], 1) == (0, 1)
    assert resized([0, 1, 0], 1) == (0.5, 0.5)
    with pytest.raises(ConfigError, match="says nothing about k=3"):
        resized([1, 1, 1], 3)


def test_a_prior_is_found_again_in_whole_steps_and_in_those_that_were_stopped_early() -> None:
    rng = random.Random(4)
    whole: Counter[tuple[int, int]] = Counter()
    early: Counter[tuple[int, int]] = Counter()
    for yes in rng.choices(range(11), PUBLISHED, k=20000):
        whole[10, yes] += 1
        votes = rng.sample([1] * yes + [0] * (10 - yes), 10)
        n = 3 if sum(votes[:3]) in (0, 3) else 10
        early[n, sum(votes[:n])] += 1
    assert fit_prior(whole, 10) == pytest.approx(PUBLISHED_SHARES, abs=0.01)
    plan = make_rule({"kind": "planned", "prior": fit_prior(early, 10)}, k=10, threshold=0.5)
    assert on_histogram(plan, PUBLISHED, 0.5).changed < 0.004


def test_a_prior_is_never_sure_of_what_it_has_not_seen() -> None:
    assert min(fit_prior({(4, 4): 100}, 4)) > 0
    assert fit_prior({}, 4) == pytest.approx(fit_prior({}, 4)[::-1])


@pytest.mark.parametrize(("steps", "most"), [(300, 0.004), (1000, 0.003)])
def test_a_pilot_is_enough_for_votes_that_it_has_not_seen(steps: int, most: float) -> None:
    outcomes = []
    for seed in range(12):
        pilot = Counter((10, yes) for yes in random.Random(seed).choices(range(11), PUBLISHED, k=steps))
        rule = make_rule({"kind": "planned", "prior": fit_prior(pilot, 10)}, k=10, threshold=0.5)
        outcomes.append(on_histogram(rule, PUBLISHED, 0.5))
    assert sum(o.changed for o in outcomes) / len(outcomes) < most
    assert sum(o.critiques for o in outcomes) / len(outcomes) < 4.3


def test_rounded_shares_never_stop_a_step_against_its_mean() -> None:
    # Of three critiques the mean is 0.733, but rounded votes say 2 of 3, which is below 0.7.
    stop_everywhere = compile_plan((1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0), 10, 0.7, 0.9)
    rows = tuple(tuple(True for _ in row) for row in stop_everywhere.stop)
    rule = Planned(10, 0.7, type(stop_everywhere)(rows, 0.0, 0.0))
    assert rule.more([critique_of(k, share) for k, share in enumerate([0.8, 0.7, 0.7])]) > 0
    assert rule.more([critique_of(k, share) for k, share in enumerate([0.9, 0.9, 0.9])]) == 0


def test_votes_need_no_count_of_what_is_called_wrong() -> None:
    assert fit_wrong([0.0, 5.0, 10.0], 10, 0.5) is None
    assert fit_wrong([], 10, 0.5) is None


def test_means_near_the_threshold_are_counted_by_the_side_they_fall_on() -> None:
    wrong = fit_wrong([0.2, 4.8, 4.9, 5.2, 9.9], 10, 0.5)
    assert wrong == (1, 1, 1, 1, 1, pytest.approx(2.5 / 4), 0, 0, 0, 0, 0)


def test_shares_between_no_and_yes_keep_to_the_bound_when_their_calls_are_counted() -> None:
    rng = random.Random(2)

    def step() -> list[float]:
        yes = rng.choices(range(11), PUBLISHED)[0]
        return rng.sample([abs(vote - rng.betavariate(0.6, 8)) for vote in [1] * yes + [0] * (10 - yes)], 10)

    pilot, others = [step() for _ in range(3000)], [[step()] for _ in range(3000)]
    sums = [sum(votes) for votes in pilot]
    seen = Counter((10, int(total + 0.5)) for total in sums)
    options = {"kind": "planned", "prior": fit_prior(seen, 10), "changed": 0.0025}
    blind = make_rule(options, k=10, threshold=0.5)
    counted = make_rule({**options, "wrong": fit_wrong(sums, 10, 0.5)}, k=10, threshold=0.5)
    assert on_votes(blind, others, 0.5, orders=2).changed > 0.004
    assert on_votes(counted, others, 0.5, orders=2).changed < 0.0025


def test_counts_for_another_k_are_refused() -> None:
    with pytest.raises(ConfigError, match="wrong must have 4 rates"):
        compile_plan((1, 1, 1, 1), 3, 0.5, 0.1, (1.0, 0.0))
