"""A plan by context: which cell a step is of, how its prior is fitted, and that it gains where contexts differ."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from rprm_jobs.errors import ConfigError
from rprm_jobs.stopping import NO_CONTEXT, StepContext, make_rule, resolve_options
from rprm_jobs.stopping.cells import CELLS, cell_of
from rprm_jobs.stopping.fit import fit_cells, fit_prior
from rprm_jobs.stopping.simulate import critique_of, on_votes

K = 10
PRICED = {"kind": "planned", "price": 30}
COMMON = fit_prior({(K, 0): 10, (K, 5): 10, (K, 10): 80}, K)


def test_a_cell_is_of_the_reward_before_of_calls_of_wrong_and_of_the_place() -> None:
    right = StepContext(1, (1.0,))
    assert cell_of(right, 0.5) == cell_of(StepContext(2, (1.0, 0.9)), 0.5)
    others = [
        StepContext(0, ()),
        StepContext(1, (0.3,)),
        StepContext(1, (0.7,)),
        StepContext(2, (0.1, 1.0)),
        StepContext(3, (0.1, 0.1, 1.0)),
        StepContext(5, (1.0,) * 5),
        StepContext(6, (1.0,) * 6),
        StepContext(10, (1.0,) * 10),
    ]
    cells = [cell_of(context, 0.5) for context in (right, *others)]
    # The 4th and the 6th step are of one range of places.
    assert cell_of(StepContext(3, (1.0,) * 3), 0.5) == cell_of(StepContext(5, (1.0,) * 5), 0.5)
    assert len(set(cells)) == len(cells)
    assert all(0 <= cell < CELLS for cell in cells)
    assert cell_of(StepContext(1, (0.7,)), 0.8) != cell_of(StepContext(1, (0.7,)), 0.5)


def test_steps_without_a_reward_are_passed_over() -> None:
    assert cell_of(StepContext(3, (0.2, None, None)), 0.5) == cell_of(StepContext(3, (1.0, 1.0, 0.2)), 0.5)
    assert cell_of(StepContext(1, (None,)), 0.5) == cell_of(StepContext(1, (1.0,)), 0.5)
    assert cell_of(NO_CONTEXT, 0.5) == cell_of(StepContext(0, ()), 0.5)


def test_the_cells_cover_all_contexts_once() -> None:
    rewards = (0.1, 0.3, 0.5, 0.7, 0.9)
    seen = {
        cell_of(StepContext(place, (0.0,) * wrong + (1.0,) * max(0, place - wrong - 1) + (reward,)), 0.05)
        for place in range(12)
        for wrong in range(3)
        for reward in rewards
    }
    assert seen <= set(range(CELLS))
    assert len(seen) == CELLS


def test_a_thin_cell_is_as_all_steps_are_and_a_thick_one_as_its_own() -> None:
    priors = fit_cells({3: {(K, 0): 1}, 4: {(K, 0): 5000}}, COMMON, K)
    assert len(priors) == CELLS
    assert priors[0] == pytest.approx(COMMON)
    assert priors[3] == pytest.approx([(20 * share + (not yes)) / 21 for yes, share in enumerate(COMMON)])
    assert priors[4][0] > 0.99
    assert min(map(min, priors)) > 0


def test_each_cell_stops_by_its_own_plan() -> None:
    sure, unsure = StepContext(1, (1.0,)), StepContext(1, (0.5,))
    seen = {
        cell_of(sure, 0.5): {(K, 10): 1000},
        cell_of(unsure, 0.5): {(K, 4): 500, (K, 6): 500},
    }
    rule = make_rule({**PRICED, "prior": COMMON, "priors": fit_cells(seen, COMMON, K)}, k=K, threshold=0.5)
    one = [critique_of(0, 1.0)]
    assert rule.in_order
    assert rule.more([], sure) > 0
    assert rule.more(one, sure) == 0
    assert rule.more(one, unsure) > 0
    whole = [critique_of(k, 1.0) for k in range(K)]
    assert rule.more(whole, unsure) == 0


def test_where_errors_come_one_after_the_other_a_context_saves_critiques() -> None:
    """Steps are right up to a wrong one, and behind that nearly all are disputed."""
    rng = random.Random(3)

    def solution() -> list[list[float]]:
        chances = [0.99] * 3 + ([0.02] + [0.6] * 4 if rng.random() < 0.5 else [0.99] * 5)
        return [[float(rng.random() < chance) for _ in range(K)] for chance in chances]

    fitting, measuring = ([solution() for _ in range(300)] for _ in range(2))
    seen, by_cell = Counter[tuple[int, int]](), dict[int, Counter[tuple[int, int]]]()
    for votes in fitting:
        rewards = tuple(sum(step) / K for step in votes)
        for place, step in enumerate(votes):
            state = K, round(sum(step))
            seen[state] += 1
            by_cell.setdefault(cell_of(StepContext(place, rewards[:place]), 0.5), Counter())[state] += 1
    prior = fit_prior(seen, K)
    plain = on_votes(make_rule({**PRICED, "prior": prior}, k=K, threshold=0.5), measuring, 0.5)
    told = {**PRICED, "prior": prior, "priors": fit_cells(by_cell, prior, K)}
    context = on_votes(make_rule(told, k=K, threshold=0.5), measuring, 0.5)

    def cost(outcome: object) -> float:
        return outcome.critiques + 30 * outcome.changed  # type: ignore[attr-defined, no-any-return]

    assert cost(context) < 0.97 * cost(plain)


def test_it_is_asked_for_by_name_and_bounded_by_a_price() -> None:
    stored = {**PRICED, "pilot": 500, "prior": None, "wrong": None}
    assert resolve_options({**PRICED, "by_context": True}) == {**stored, "by_context": True}
    # Jobs of before keep their digest.
    assert resolve_options({**PRICED, "by_context": False}) == stored
    with pytest.raises(ConfigError, match="bounded by a price alone"):
        make_rule({"kind": "planned", "by_context": True}, k=K, threshold=0.5)
    pilot = make_rule({**PRICED, "by_context": True}, k=K, threshold=0.5)
    assert pilot.more([]) == K
    assert not pilot.in_order
