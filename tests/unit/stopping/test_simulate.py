"""Simulation: the published votes give the published costs, and replayed votes agree with the expectation."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import permutations
from typing import Any, ClassVar

import pytest

from rprm_jobs.errors import ConfigError
from rprm_jobs.stopping import NO_CONTEXT, FixedK, StepContext, make_rule
from rprm_jobs.stopping.exact import Exact
from rprm_jobs.stopping.prior import PUBLISHED
from rprm_jobs.stopping.simulate import SimulatedCost, critique_of, on_histogram, on_votes
from rprm_jobs.types import Critique


@pytest.mark.parametrize(
    ("options", "most_critiques", "most_changed"),
    [
        ({"kind": "fixed"}, 10.0, 0.0),
        ({"kind": "exact"}, 5.9, 0.0),
        ({"kind": "adaptive"}, 4.0, 0.006),
        ({"kind": "planned", "prior": PUBLISHED, "changed": 0.0076}, 3.22, 0.0076),
        ({"kind": "planned", "prior": PUBLISHED, "changed": 0.0025}, 4.1, 0.0024),
        ({"kind": "planned", "prior": PUBLISHED, "changed": 0.0003}, 5.1, 0.00024),
    ],
)
def test_the_published_votes(options: dict[str, Any], most_critiques: float, most_changed: float) -> None:
    outcome = on_histogram(make_rule(options, k=10, threshold=0.5), PUBLISHED, 0.5)
    assert outcome.critiques <= most_critiques
    assert outcome.changed <= most_changed


def test_the_expectation_is_the_mean_over_all_orders() -> None:
    rule = make_rule({"kind": "adaptive", "confidence": 0.8, "min_k": 1}, k=6, threshold=0.5)
    spent = changed = n_orders = 0
    for order in permutations([1, 1, 0, 1, 0, 0]):
        critiques = [critique_of(k, float(share)) for k, share in enumerate(order)]
        n = next(n for n in range(7) if rule.more(critiques[:n]) == 0)
        spent, n_orders = spent + n, n_orders + 1
        changed += sum(order[:n]) / n < 0.5
    outcome = on_histogram(rule, [0, 0, 0, 1, 0, 0, 0], 0.5)
    assert outcome == SimulatedCost(pytest.approx(spent / n_orders), pytest.approx(changed / n_orders))


def test_replayed_votes_agree_with_the_expectation() -> None:
    rng = random.Random(0)
    steps = [[1.0] * yes + [0.0] * (10 - yes) for yes in rng.choices(range(11), PUBLISHED, k=1500)]
    weights = [sum(sum(step) == yes for step in steps) for yes in range(11)]
    rule = make_rule({"kind": "adaptive"}, k=10, threshold=0.5)
    expected = on_histogram(rule, weights, 0.5)
    found = on_votes(rule, [[step] for step in steps], 0.5, orders=4)
    assert found.critiques == pytest.approx(expected.critiques, abs=0.1)
    assert found.changed == pytest.approx(expected.changed, abs=0.003)
    assert found.changed_solutions == pytest.approx(found.changed)


def test_what_exact_keeps_on_shares_between_no_and_yes() -> None:
    rng = random.Random(1)
    solutions = [
        [[None if rng.random() < 0.1 else rng.betavariate(0.3, 0.3) for _ in range(8)] for _ in range(3)]
        for _ in range(60)
    ]
    outcome = on_votes(Exact(8, 0.5), solutions, 0.5, orders=5)
    assert (outcome.changed, outcome.changed_solutions) == (0.0, 0.0)
    assert outcome.critiques < 8


def test_changed_first_errors_are_those_of_whole_solutions() -> None:
    class FirstOnly:
        in_order: ClassVar[bool] = False

        def more(self, critiques: Sequence[Critique], context: StepContext = NO_CONTEXT) -> int:  # noqa: ARG002
            return 0 if critiques else 1

    # The first step is right by 3 of 4 and its one dissenter is drawn first in a quarter of the orders.
    outcome = on_votes(FirstOnly(), [[[1.0, 1.0, 1.0, 0.0], [0.0] * 4]], 0.5, orders=2000)
    assert outcome.critiques == 1.0
    assert outcome.changed == pytest.approx(0.125, abs=0.02)
    assert outcome.changed_solutions == pytest.approx(0.25, abs=0.04)


def test_a_policy_that_never_ends_a_step_is_named() -> None:
    class Endless:
        in_order: ClassVar[bool] = False

        def more(self, critiques: Sequence[Critique], context: StepContext = NO_CONTEXT) -> int:  # noqa: ARG002
            return 1

    with pytest.raises(ConfigError, match=r"asks for 1 more critiques of a step that has 4 of at most 4"):
        on_votes(Endless(), [[[1.0] * 4]], 0.5)
    with pytest.raises(ConfigError, match="at most 10"):
        on_histogram(FixedK(12), PUBLISHED, 0.5)


def test_no_steps_are_nothing_to_simulate() -> None:
    with pytest.raises(ConfigError, match="no step"):
        on_votes(FixedK(1), [[]], 0.5)
