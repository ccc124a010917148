"""ProcessBench by subset: misses and missing answers apart, every bad row named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm_jobs.errors import InputError
from rprm_jobs.evaluation.processbench_answers import Answer, checked_rewards, predict, read_answer
from rprm_jobs.evaluation.processbench_report import ProcessBenchItem, evaluate, subset_of

ITEMS = [
    ProcessBenchItem("gsm8k-0", 1, 3),
    ProcessBenchItem("gsm8k-1", -1, 2),
    ProcessBenchItem("gsm8k-2", 0, 2),
    ProcessBenchItem("math-0", -1, 2),
    ProcessBenchItem("math-1", 0),
]
ALL_RIGHT = {item.id: Answer(item.label) for item in ITEMS}


def test_accuracies_f1_and_their_mean() -> None:
    report = evaluate(ITEMS, {**ALL_RIGHT, "gsm8k-2": Answer(1)})
    gsm8k, math = report.subsets["gsm8k"], report.subsets["math"]
    assert (gsm8k.n_error, gsm8k.n_correct, gsm8k.error_acc, gsm8k.correct_acc) == (2, 1, 50.0, 100.0)
    assert (gsm8k.f1, math.f1) == (pytest.approx(200 / 3), 100.0)
    assert report.average_f1 == pytest.approx(250 / 3)
    assert report.missing == 0


def test_an_incomplete_subset_has_no_f1_unless_it_is_allowed() -> None:
    answers = {**ALL_RIGHT, "gsm8k-0": Answer(None, "quarantined", missing=True)}
    del answers["gsm8k-1"]
    answers["gsm8k-3"] = Answer(-1)
    items = [*ITEMS, ProcessBenchItem("gsm8k-3", -1, 1)]
    report = evaluate(items, answers)
    assert report.subsets["gsm8k"].f1 is None
    assert report.subsets["gsm8k"].f1_interval is None
    assert report.average_f1 is None
    assert report.subsets["math"].f1 == 100.0
    assert (report.missing, report.missing_by_reason) == (2, {"quarantined": 1, "no row": 1})
    assert report.subsets["gsm8k"].notes.startswith("2 of 4 missing")
    allowed = evaluate(items, answers, allow_incomplete=True)
    assert (allowed.subsets["gsm8k"].n_error, allowed.subsets["gsm8k"].n_correct) == (2, 2)
    assert (allowed.subsets["gsm8k"].f1, allowed.average_f1) == (50.0, 75.0)


def test_forty_of_400_without_a_prediction_are_misses() -> None:
    items = [ProcessBenchItem(f"gsm8k-{i}", -1 if i % 2 else 0, 3) for i in range(400)]
    answers = {item.id: read_answer({"prediction": None if i < 40 else item.label}, 3) for i, item in enumerate(items)}
    report = evaluate(items, answers)
    assert report.subsets["gsm8k"].f1 == pytest.approx(90.0)
    assert (report.missing, report.without_prediction) == (0, 40)
    assert report.without_prediction_by_reason == {"without a prediction": 40}
    assert report.subsets["gsm8k"].notes == "40 of 400 without a prediction, which count as misses"
    assert report == evaluate(items, answers, allow_incomplete=True)


@given(st.data())
def test_allowing_what_is_incomplete_never_raises_a_score(data: st.DataObject) -> None:
    """Whatever the missing answers would have been, the official score is at least the one that is shown."""
    items = [*ITEMS, ProcessBenchItem("gsm8k-3", 1, 3)]
    predictions = st.integers(-1, 2).map(Answer)
    official = data.draw(st.fixed_dictionaries({item.id: predictions for item in items}))
    answered = data.draw(st.sets(st.sampled_from(sorted(official))))
    part = evaluate(items, {id_: official[id_] for id_ in answered}, allow_incomplete=True)
    whole = evaluate(items, official)
    assert part.average_f1 is not None
    assert whole.average_f1 is not None
    assert part.average_f1 <= whole.average_f1
    for subset, report in part.subsets.items():
        assert (report.f1 or 0) <= (whole.subsets[subset].f1 or 0)
        assert (report.error_acc or 0) <= (whole.subsets[subset].error_acc or 0)


def test_a_subset_of_one_kind_has_no_f1() -> None:
    report = evaluate([ProcessBenchItem("a-0", -1)], {"a-0": Answer(-1)})
    assert (report.subsets["a"].error_acc, report.subsets["a"].correct_acc, report.subsets["a"].f1) == (None, 100, None)
    assert report.average_f1 is None


def test_subsets_come_in_the_order_of_the_benchmark() -> None:
    items = [
        ProcessBenchItem("zoo-1", 0),
        ProcessBenchItem("omnimath-1", 0),
        ProcessBenchItem("apple-1", 0),
        ProcessBenchItem("gsm8k-1", 0),
    ]
    assert list(evaluate(items, {}).subsets) == ["gsm8k", "omnimath", "apple", "zoo"]


def test_a_part_of_a_published_subset_is_said_to_be_one() -> None:
    report = evaluate(ITEMS, ALL_RIGHT)
    assert report.subsets["gsm8k"].notes == "3 solutions, the published subset has 400"
    assert (
        evaluate([ProcessBenchItem("mine-0", 0), ProcessBenchItem("mine-1", -1)], {}).subsets["mine"].notes
        == "2 of 2 missing"
    )


def test_intervals_hold_the_f1_repeat_and_narrow_with_more_solutions() -> None:
    def answers(n: int) -> tuple[list[ProcessBenchItem], dict[str, Answer]]:
        items = [ProcessBenchItem(f"gsm8k-{i}", i % 2 - 1) for i in range(n)]
        return items, {item.id: Answer(item.label if i % 5 else 7) for i, item in enumerate(items)}

    small, large = evaluate(*answers(40)), evaluate(*answers(400))
    for report in (small, large):
        low, high = report.subsets["gsm8k"].f1_interval or (0, 0)
        assert low < (report.average_f1 or 0) < high
        assert report.average_f1_interval == (low, high)
    widths = [(lambda ends: ends[1] - ends[0])(r.average_f1_interval or (0, 0)) for r in (small, large)]
    assert widths[0] == pytest.approx(widths[1] * 10**0.5, rel=0.3)
    assert evaluate(*answers(40)) == small
    assert evaluate(*answers(40), seed=1) != small


@pytest.mark.parametrize(
    ("rewards", "expected"),
    [
        ([0.9, 0.4, 0.1], Answer(1)),
        ([0.5, 0.9], Answer(-1)),
        ([0.9, 0.2, None], Answer(1)),
        ([None, 0.2], Answer(None, "without a reward")),
        ([0.9, None, 0.2], Answer(None, "without a reward")),
        ([0.9, None], Answer(None, "without a reward")),
    ],
)
def test_the_prediction_of_rewards(rewards: list[float | None], expected: Answer) -> None:
    assert predict(rewards) == expected


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=6), st.floats(0, 1))
def test_a_missing_reward_never_changes_a_prediction_it_only_withholds_it(
    rewards: list[float | None], filler: float
) -> None:
    answer = predict(rewards)
    if answer.prediction is not None:
        assert predict([filler if reward is None else reward for reward in rewards]) == answer


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prediction": 2}, Answer(2)),
        ({"prediction": -1, "rewards": None}, Answer(-1)),
        ({"prediction": None}, Answer(None, "without a prediction")),
        ({"predict": 1, "yes_probability_average": [0.9, 0.1, 0.9], "match": False}, Answer(1)),
        ({"predict": None, "yes_probability_average": [0.9, 0.9, 0.1]}, Answer(2)),
        ({"responses": [0.9, 0.6, 0.55], "PRM_CoT": ["a", "b", "c"]}, Answer(-1)),
        ({"prediction": float("nan")}, Answer(None, "without a prediction")),
        ({"prediction": 1.0}, Answer(1)),
        ({"prediction": "2"}, Answer(2)),
        ({"prediction": " -1 "}, Answer(-1)),
        ({"prediction": True}, Answer(None, "prediction is not a whole number")),
        ({"prediction": 1.5}, Answer(None, "prediction is not a whole number")),
        ({"prediction": "step 2"}, Answer(None, "prediction is not a whole number")),
        ({"prediction": [1]}, Answer(None, "prediction is not a whole number")),
        ({"prediction": 3}, Answer(None, "prediction names no step")),
        ({"prediction": -2}, Answer(None, "prediction names no step")),
        ({"prediction": float("inf")}, Answer(None, "prediction is not a whole number")),
        ({"status": "quarantined", "rewards": [None] * 3}, Answer(None, "quarantined", missing=True)),
        ({"rewards": [0.9, 0.1, 0.9]}, Answer(1)),
        ({"rewards": [1, None, 0]}, Answer(None, "without a reward")),
        ({"status": "failed", "rewards": [0.1, None, None]}, Answer(None, "failed")),
    ],
)
def test_rows_of_predictions(row: dict[str, Any], expected: Answer) -> None:
    assert read_answer(row, 3) == expected


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({}, "neither prediction nor rewards"),
        ({"rewards": [0.1, 0.2]}, "2 rewards for 3 steps"),
        ({"rewards": [0.1, 0.2, 1.2]}, "reward 3 is 1.2"),
        ({"rewards": [0.1, "0.2", 0.3]}, "reward 2 is '0.2'"),
        ({"rewards": [True, 0.2, 0.3]}, "reward 1 is True"),
        ({"rewards": {"0": 1}}, "not a list"),
    ],
)
def test_rows_that_cannot_be_scored_are_refused(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read_answer(row, 3)


def test_without_a_known_number_of_steps_any_length_is_taken() -> None:
    assert checked_rewards([0.5] * 9, None) == [0.5] * 9
    assert read_answer({"prediction": 40}, None) == Answer(40)


@pytest.mark.parametrize("id_", ["gsm8k", "-1", "gsm8k-", ""])
def test_an_id_without_a_subset_is_refused(id_: str) -> None:
    with pytest.raises(InputError, match="names no subset"):
        subset_of(id_)


def test_the_subset_ends_at_the_first_dash() -> None:
    assert subset_of("gsm8k-12-b") == "gsm8k"


def test_recorded_predictions_of_a_real_judge(test_data: Path) -> None:
    lines = (test_data / "recorded" / "processbench_predictions_200.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    items = [ProcessBenchItem(row["id"], row["label"], row["n_steps"]) for row in rows]
    report = evaluate(items, {row["id"]: read_answer(row, row["n_steps"]) for row in rows})
    f1s = {subset: one.f1 for subset, one in report.subsets.items()}
    expected = {"gsm8k": 70.0, "math": 72.727, "olympiadbench": 69.825, "omnimath": 56.757}
    assert f1s == pytest.approx(expected, abs=5e-4)
    assert report.average_f1 == pytest.approx(67.327, abs=5e-4)
    assert set(report.as_json()["subsets"]["gsm8k"]) >= {"n_error", "n_correct", "error_acc", "correct_acc", "f1"}
