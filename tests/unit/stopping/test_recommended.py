"""The recommended setting is proposed where it is of use, with what it costs."""

from __future__ import annotations

import pytest

from rprm_jobs.stopping.recommended import propose

FIXED = {"kind": "fixed"}


def test_it_takes_a_fifth_of_ten_critiques_and_the_pilot_counts() -> None:
    large, small = propose(FIXED, 10, 1_000_000, 0.5), propose(FIXED, 10, 1_000, 0.5)
    assert large is not None
    assert small is not None
    assert 0.15 < large.fraction < 0.22
    assert small.fraction == pytest.approx(0.5 + large.fraction / 2, abs=0.01)
    assert large.options == "--stopping planned --price 30"
    low, high = large.score_change
    assert low < 0 < high


@pytest.mark.parametrize(
    ("stopping", "k", "steps"),
    [({"kind": "adaptive"}, 10, 9000), (FIXED, 2, 9000), (FIXED, 16, 9000), (FIXED, 10, 400)],
)
def test_nothing_is_proposed_where_it_saves_nothing_or_nothing_is_known(
    stopping: dict[str, str], k: int, steps: int
) -> None:
    assert propose(stopping, k, steps, 0.5) is None
