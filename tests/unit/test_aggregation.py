"""Rewards: the mean over parsed critiques whatever their order, and never a score where nothing was said."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm_jobs.aggregation import failed_solution, first_error, score_solution, step_reward, vote
from rprm_jobs.types import Critique, Finish, ItemStatus, Verdict


def critique(verdict: Verdict, p_yes: float | None = None, *, step: int = 0, k: int = 0) -> Critique:
    return Critique(step, k, verdict, p_yes, 10, Finish.STOP, "text")


YES, NO = critique(Verdict.YES, 0.9), critique(Verdict.NO, 0.2)
SILENT = [critique(Verdict.UNPARSED), critique(Verdict.TRUNCATED)]


@pytest.mark.parametrize(
    ("one", "share"),
    [
        (YES, 0.9),
        (NO, 0.2),
        (critique(Verdict.YES), 1.0),
        (critique(Verdict.NO), 0.0),
        (critique(Verdict.YES, 0.0), 0.0),
        (critique(Verdict.UNPARSED), None),
        (critique(Verdict.UNPARSED, 0.7), None),
        (critique(Verdict.TRUNCATED, 0.7), None),
    ],
)
def test_a_critiques_vote(one: Critique, share: float | None) -> None:
    assert vote(one) == share


def test_unparsed_critiques_are_left_out_of_the_mean() -> None:
    assert step_reward([YES, NO, *SILENT]) == pytest.approx(0.55)


@pytest.mark.parametrize("nothing", [[], SILENT])
def test_nothing_said_is_no_reward(nothing: list[Critique]) -> None:
    assert step_reward(nothing) is None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing(values: list[float], rng: random.Random) -> None:
    critiques = [critique(Verdict.YES, p, k=i) for i, p in enumerate(values)]
    reward = step_reward(critiques)
    shuffled = list(critiques)
    rng.shuffle(shuffled)
    assert step_reward(shuffled) == reward
    assert reward is not None
    assert math.nextafter(min(values), -1) <= reward <= math.nextafter(max(values), 2)
    assert score_solution(0, 1, shuffled, 0.5) == score_solution(0, 1, critiques, 0.5)


def test_a_sum_that_naive_addition_would_make_depend_on_order() -> None:
    values = [0.1] * 10 + [1e-17] * 5
    assert sum(values) != math.fsum(values[::-1])
    forward = [critique(Verdict.YES, p) for p in values]
    assert step_reward(forward) == step_reward(forward[::-1])


@pytest.mark.parametrize(
    ("rewards", "threshold", "expected"),
    [
        ([0.9, 0.8], 0.5, -1),
        ([0.9, 0.4, 0.1], 0.5, 1),
        ([0.5], 0.5, -1),
        ([math.nextafter(0.5, 0)], 0.5, 0),
        ([0.9, None, 0.1], 0.5, None),
        ([0.9, 0.1, None], 0.5, 1),
        ([0.9, None], 0.5, None),
        ([None], 0.5, None),
        ([], 0.5, -1),
        ([0.0], 0.0, -1),
        ([0.999], 1.0, 0),
    ],
)
def test_first_error(rewards: list[float | None], threshold: float, expected: int | None) -> None:
    assert first_error(rewards, threshold) == expected


def test_a_solution_is_put_together_by_step() -> None:
    critiques = [
        critique(Verdict.NO, 0.1, step=1, k=1),
        critique(Verdict.YES, 0.9, step=0, k=0),
        critique(Verdict.NO, 0.3, step=1, k=0),
        critique(Verdict.YES, 0.7, step=0, k=1),
    ]
    score = score_solution(7, 2, critiques, 0.5)
    assert (score.ord, score.status, score.reason, score.first_error) == (7, ItemStatus.OK, None, 1)
    assert score.rewards == pytest.approx((0.8, 0.2))
    assert [(c.step, c.k) for c in score.critiques] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_a_step_without_an_opinion_fails_the_solution_with_its_reason() -> None:
    critiques = [critique(Verdict.YES, 0.9, step=0), *[critique(c.verdict, step=1, k=k) for k, c in enumerate(SILENT)]]
    score = score_solution(0, 3, critiques, 0.5)
    assert score.status is ItemStatus.FAILED
    assert score.rewards == (0.9, None, None)
    assert score.first_error is None
    assert score.reason == "step 2: no verdict in any of 2 critiques, 1 cut by the token limit (and 1 more step)"
    assert len(score.critiques) == 3


def test_a_solution_that_could_not_be_judged_has_no_rewards() -> None:
    score = failed_solution(3, 2, "too long")
    assert (score.status, score.rewards, score.first_error, score.reason) == (
        ItemStatus.FAILED, (None, None), None, "too long",
    )  # fmt: skip


def test_steps_that_are_not_to_be_judged_are_no_failure_and_no_error() -> None:
    critiques = [critique(Verdict.YES, 0.9, step=1), critique(Verdict.NO, 0.2, step=3)]
    score = score_solution(0, 5, critiques, 0.5, judged=(1, 3))
    assert (score.status, score.first_error, score.reason) == (ItemStatus.OK, 3, None)
    assert score.rewards == (None, 0.9, None, 0.2, None)
    assert score_solution(0, 5, critiques[:1], 0.5, judged=(1,)).first_error == -1
    silent = score_solution(0, 5, [*critiques, critique(Verdict.UNPARSED, step=4)], 0.5, judged=(1, 3, 4))
    assert silent.reason == "step 5: no verdict in any of 1 critique, 0 cut by the token limit"
    assert list(score_solution(0, 2, [YES, critique(Verdict.NO, 0.1, step=1)], 0.5).judged_steps) == [0, 1]
