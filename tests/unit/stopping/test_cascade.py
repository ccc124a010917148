"""The cascade: no critique where the screen is sure, more where one contradicts it, and the call that is weighed."""

from __future__ import annotations

import random

import pytest

from rprm_jobs.aggregation import Screened, step_reward
from rprm_jobs.errors import ConfigError
from rprm_jobs.stopping import StepContext, make_rule, resolve_options
from rprm_jobs.types import Critique, Finish, Verdict


def critique(k: int, p_yes: float | None) -> Critique:
    verdict = Verdict.UNPARSED if p_yes is None else Verdict.YES if p_yes >= 0.5 else Verdict.NO
    return Critique(0, k, verdict, p_yes, 9, Finish.STOP, "")


def rule(**options: float) -> object:
    return make_rule({"kind": "cascade", **options}, k=8, threshold=0.5)


def more(screen: float | None, *votes: float | None, **options: float) -> int:
    made = make_rule({"kind": "cascade", **options}, k=8, threshold=0.5)
    return made.more([critique(k, value) for k, value in enumerate(votes)], StepContext(screen=screen))


def test_a_sure_screen_costs_no_critique_and_an_unsure_one_does() -> None:
    assert more(0.999) == more(0.001) == 0
    assert more(0.6) > 0
    assert more(0.4) > 0


def test_a_contradiction_is_looked_into() -> None:
    assert more(0.99, 0.0) > 0
    assert more(0.7, 0.99) < more(0.7, 0.01)


def test_a_heavier_screen_is_believed_more_and_a_lighter_one_less() -> None:
    assert more(0.9, weight=0.5) > 0
    assert more(0.9, weight=10.0) == 0


def test_without_a_score_it_is_the_adaptive_rule() -> None:
    adaptive = make_rule({"kind": "adaptive"}, k=8, threshold=0.5)
    for votes in ([], [1.0], [1.0, 1.0, 1.0], [1.0, 0.0, 0.4]):
        critiques = [critique(k, value) for k, value in enumerate(votes)]
        assert more(None, *votes) == adaptive.more(critiques)


@pytest.mark.parametrize("seed", range(20))
def test_it_never_asks_for_more_than_k_and_ends(seed: int) -> None:
    rng = random.Random(seed)
    votes: list[float | None] = []
    screen = rng.random()
    while (wanted := more(screen, *votes)) > 0:
        votes += [rng.choice([None, rng.random()]) for _ in range(wanted)]
    assert len(votes) <= 8


def test_the_screen_counts_as_so_many_critiques_in_the_reward() -> None:
    critiques = [critique(0, 1.0), critique(1, 0.5), critique(2, None)]
    assert step_reward(critiques, Screened(0.2, 2.0)) == pytest.approx((1.0 + 0.5 + 2 * 0.2) / 4)
    assert step_reward([], Screened(0.2, 2.0)) == pytest.approx(0.2)
    assert step_reward([critique(0, None)]) is None


def test_options_are_checked_and_written_out() -> None:
    assert resolve_options({"kind": "cascade"}) == {"kind": "cascade", "confidence": 0.95, "weight": 2.2}
    for options in ({"weight": 0.0}, {"confidence": 1.0}, {"weights": 1.0}):
        with pytest.raises(ConfigError):
            rule(**options)
