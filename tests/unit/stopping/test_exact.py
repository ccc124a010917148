"""The exact rule keeps every call, whatever the remaining critiques say, and stops as soon as that is so."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rprm_jobs.aggregation import step_reward
from rprm_jobs.stopping.exact import Exact, certain
from rprm_jobs.stopping.simulate import critique_of
from rprm_jobs.stopping.tally import Tally

SHARE = st.one_of(st.none(), st.floats(0, 1), st.sampled_from([0.0, 0.5, 1.0]))


def wrong(votes: list[float | None], threshold: float) -> bool | None:
    reward = step_reward([critique_of(k, share) for k, share in enumerate(votes)])
    return None if reward is None else reward < threshold


@settings(max_examples=200, deadline=None)
@given(st.lists(SHARE, min_size=1, max_size=12), st.floats(0, 1))
def test_no_call_is_ever_changed(votes: list[float | None], threshold: float) -> None:
    rule = Exact(len(votes), threshold)
    critiques = [critique_of(k, share) for k, share in enumerate(votes)]
    taken = next(n for n in range(len(votes) + 1) if rule.more(critiques[:n]) == 0)
    assert wrong(votes[:taken], threshold) is wrong(votes, threshold)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([0.0, 1.0]), max_size=9), st.integers(1, 10), st.sampled_from([0.3, 0.5, 0.61]))
def test_it_goes_on_only_while_both_calls_are_possible(votes: list[float], left: int, threshold: float) -> None:
    tally = Tally(len(votes), sum(votes), left)
    calls = {wrong([*votes, *[1.0] * ones, *[0.0] * (left - ones)], threshold) for ones in range(left + 1)}
    assert certain(tally, threshold) is (bool(votes) and len(calls) == 1)


@pytest.mark.parametrize(
    ("votes", "more"),
    [([], 5), ([1.0] * 5, 0), ([0.0] * 5, 1), ([0.0] * 6, 0), ([0.9] * 5, 1), ([1.0, 0.0, 1.0], 3), ([0.45] * 9, 1)],
)
def test_how_many_of_ten(votes: list[float], more: int) -> None:
    # Five votes of Yes fix a mean of at least 0.5; five critiques of 0.9 leave 0.45 within reach.
    assert Exact(10, 0.5).more([critique_of(k, share) for k, share in enumerate(votes)]) == more


def test_a_mean_within_rounding_of_the_threshold_is_not_called_certain() -> None:
    assert not certain(Tally(9, 4.0, 1), 0.5)
    assert certain(Tally(9, 3.9, 1), 0.5)
