"""Best-of-N: the aggregations, the votes, and means over subsets that agree with the unbiased estimator."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm_jobs.errors import InputError
from rprm_jobs.evaluation.best_of_n import Problem, evaluate, read_problem
from rprm_jobs.evaluation.picking import AGGREGATIONS, best, most_voted, pass_at, subsets, weights

REWARDS = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def problem(correct: list[bool], rewards: list[list[float] | None], answers: list[str | None]) -> Problem:
    return Problem(
        "p",
        "?",
        tuple(("s",) * len(one or "x") for one in rewards),
        tuple(correct),
        tuple(answers),
        tuple(None if one is None else tuple(one) for one in rewards),
    )


def row(**changes: Any) -> dict[str, Any]:
    return {
        "id": "7",
        "problem": "?",
        "responses": [["a", r"so \boxed{1}"], ["b"]],
        "labels": [True, False],
        **changes,
    }


def test_aggregations_of_one_solution() -> None:
    found = {name: rule([0.9, 0.5, 0.8]) for name, rule in AGGREGATIONS.items()}
    assert found == pytest.approx(
        {"min": 0.5, "last": 0.8, "mean": 2.2 / 3, "product": math.log(0.36), "geometric_mean": 0.36 ** (1 / 3)}
    )


def test_a_product_of_many_rewards_does_not_underflow() -> None:
    product = AGGREGATIONS["product"]
    assert product([0.01] * 1000) < product([0.011] * 1000)
    assert product([0.5, 0.0]) == -math.inf
    assert AGGREGATIONS["geometric_mean"]([0.5, 0.0]) == 0.0


@given(REWARDS)
def test_aggregations_keep_their_order(rewards: list[float]) -> None:
    lowest, mean, geometric = (AGGREGATIONS[name](rewards) for name in ("min", "mean", "geometric_mean"))
    assert lowest - 1e-12 <= geometric <= mean + 1e-12
    assert math.exp(AGGREGATIONS["product"](rewards)) <= lowest + 1e-12


def test_the_first_maximum_wins() -> None:
    assert best([0.3, 0.9, 0.9], [0, 1, 2]) == 1
    assert best([0.3, 0.9, 0.9], [0, 2]) == 2
    assert most_voted(["b", "a", "a", "b"], [1, 1, 1, 1], range(4)) == 0
    assert most_voted(["b", "a", "a", "b"], [1, 1, 1, 1], [1, 2, 3]) == 1
    assert most_voted(["b", "a", "a"], [1.0, 0.3, 0.3], range(3)) == 0


def test_a_response_without_an_answer_has_no_vote() -> None:
    assert most_voted([None, None, "a"], [1, 1, 1], range(3)) == 2
    assert most_voted([None, None], [1, 1], range(2)) is None


def test_votes_of_products_keep_their_proportions() -> None:
    assert weights("product", [math.log(1e-200) * 2, math.log(1e-200) * 2 + math.log(2), -math.inf]) == pytest.approx(
        [0.5, 1.0, 0.0]
    )
    assert weights("product", [-math.inf]) == [0.0]
    assert weights("mean", [0.2, 0.4]) == [0.2, 0.4]


@given(st.integers(1, 9), st.integers(0, 9), st.integers(1, 9))
def test_pass_at_n_is_the_mean_over_all_subsets(total: int, correct: int, n: int) -> None:
    correct, n = min(correct, total), min(n, total)
    drawn = subsets(total, n, 0)
    assert pass_at(n, correct, total) == pytest.approx(sum(min(s) < correct for s in drawn) / len(drawn))


def test_many_subsets_are_drawn_and_repeat() -> None:
    drawn = subsets(40, 20, 3)
    assert len(drawn) == 2000
    assert drawn == subsets(40, 20, 3)
    assert all(len(set(one)) == 20 and list(one) == sorted(one) for one in drawn)
    assert len(subsets(8, 4, 0)) == 70


def test_a_report() -> None:
    problems = [
        problem([True, False, False], [[0.9], [0.2, 0.9], [0.5]], ["1", "2", "2"]),
        problem([False, True, False], [[0.9], [0.1], [0.8]], ["3", "4", None]),
    ]
    report = evaluate(problems, [1, 3])
    assert report.pass_at == pytest.approx({1: 1 / 3, 3: 1.0})
    assert report.majority == pytest.approx({1: 1 / 3, 3: 0.0})
    assert report.best_of is not None
    assert report.weighted_majority is not None
    assert report.best_of["min"] == pytest.approx({1: 1 / 3, 3: 0.5})
    assert report.weighted_majority["min"] == pytest.approx({1: 1 / 3, 3: 0.5})
    assert (report.without_answer, report.without_reward, report.n_judged) == (1, 0, 2)
    shown = report.as_json()
    assert (shown["pass@1"], shown["best_of"]["min"]["3"]) == (pytest.approx(1 / 3), 0.5)


def test_an_oracle_reaches_pass_at_n_and_no_picking_beats_it() -> None:
    problems = [
        problem([i == j for j in range(4)], [[float(i == j)] for j in range(4)], list("abcd")) for i in range(4)
    ]
    report = evaluate(problems, [1, 2, 3, 4])
    assert report.best_of is not None
    for by_n in report.best_of.values():
        assert by_n == pytest.approx(report.pass_at)


def test_a_problem_with_a_missing_reward_is_counted_and_not_judged() -> None:
    problems = [problem([True, False], [[0.1], [0.9]], ["1", "2"]), problem([True, False], [[0.9], None], ["1", "2"])]
    report = evaluate(problems, [2])
    assert (report.n_problems, report.n_judged, report.without_reward) == (2, 1, 1)
    assert report.best_of is not None
    assert report.best_of["min"] == {2: 0.0}
    assert evaluate(problems[1:], [2]).best_of is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": None}, "no id"),
        ({"responses": []}, "responses"),
        ({"responses": [["a"], []]}, "responses"),
        ({"responses": [["a"], "b"]}, "responses"),
        ({"labels": [True]}, "labels is not a list of 2"),
        ({"labels": [True, 0]}, "labels is not a list of 2"),
        ({"rewards": [[0.1, 0.2]]}, "rewards is not a list of 2"),
        ({"rewards": [[0.1], [0.2]]}, "1 reward for 2 steps"),
        ({"rewards": [[0.1, 1.5], [0.2]]}, "reward 2 is 1.5"),
        ({"final_answers": ["1"]}, "final_answers is not a list of 2"),
        ({"final_answers": ["1", 2]}, "final_answers"),
    ],
)
def test_rows_of_another_shape_are_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read_problem(row(**changes))


def test_answers_are_those_stated_or_those_boxed() -> None:
    assert read_problem(row()).answers == ("1", None)
    assert read_problem(row(final_answers=["x", "y"])).answers == ("x", "y")
    assert read_problem(row(rewards=[[0.1, None], [0.2]])).rewards == (None, (0.2,))


@pytest.mark.parametrize(
    ("ns", "reason"), [([3], "2 responses, too few for n=3"), ([0], "at least 1"), ([], "at least 1")]
)
def test_an_n_that_cannot_be_is_refused(ns: list[int], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        evaluate([read_problem(row())], ns)


def test_no_problem_is_refused() -> None:
    with pytest.raises(InputError, match="no problem"):
        evaluate([], [1])


def test_the_real_responses_give_the_stated_pass_rates(test_data: Path) -> None:
    lines = (test_data / "best_of_n" / "olympiadbench200_n8.jsonl").read_text("utf-8").splitlines()
    report = evaluate([read_problem(json.loads(line)) for line in lines], [1, 8])
    assert report.n_problems == 200
    assert report.pass_at == pytest.approx({1: 0.380, 8: 0.585})
    assert report.pass_at[1] < report.majority[8] < report.pass_at[8]
    assert report.best_of is None
