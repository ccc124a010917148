"""PRMBench by its definition: what counts as valid, how classes are scored, and which rows are one item."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm_jobs.errors import InputError
from rprm_jobs.evaluation.prmbench import Counts, count, evaluate
from rprm_jobs.evaluation.prmbench_results import PrmbenchResult
from rprm_jobs.evaluation.prmbench_rows import (
    CLASSES,
    PrmbenchItem,
    control_row,
    first_of_each,
    is_row,
    item_key,
    read_item,
    solution_row,
)


def row(**changes: Any) -> dict[str, Any]:
    return {
        "idx": "prm_test_p1_0",
        "classification": "circular",
        "original_question": "old?",
        "original_process": ["x", "y"],
        "modified_question": "what?",
        "modified_process": ["a", "b", "c"],
        "error_steps": [1, 3],
        **changes,
    }


def item(classification: str, n: int, errors: set[int], idx: str = "0") -> PrmbenchItem:
    key = item_key(classification, idx)
    return PrmbenchItem(key, classification, "p", tuple("s" for _ in range(n)), frozenset(errors), False)


def scored(rewards: Mapping[str, Sequence[float | None]]) -> dict[str, PrmbenchResult]:
    return {key: PrmbenchResult(tuple(values)) for key, values in rewards.items()}


def test_error_steps_count_from_one_and_index_the_modified_process() -> None:
    found = read_item(row())
    assert found == PrmbenchItem(
        "circular_prm_test_p1_0", "circular", "what?", ("a", "b", "c"), frozenset({0, 2}), False
    )
    assert solution_row(row(reason="why")) == {
        "id": "circular_prm_test_p1_0", "problem": "what?", "steps": ["a", "b", "c"], "label": 0,
        "step_labels": [-1, 1, -1], "classification": "circular", "original_question": "old?",
        "original_process": ["x", "y"], "error_steps": [1, 3], "reason": "why",
    }  # fmt: skip


def test_errors_out_of_range_are_left_out_and_told() -> None:
    found = read_item(row(error_steps=[0, 2, 4]))
    assert (found.error_steps, found.out_of_range) == ({1}, True)
    assert read_item(row(error_steps=[2, 2])).out_of_range is False


def test_controls() -> None:
    own = {
        "idx": "correct_prm_test_p1_0", "classification": "correct", "question": "old?", "steps": ["x", "y"],
        "error_steps": [],
    }  # fmt: skip
    assert control_row(row(classification="redundency")) == own
    item = read_item(own)
    assert (item.key, item.is_control, item.error_steps) == ("correct_prm_test_p1_0", True, frozenset())
    assert solution_row(own) == {
        "id": "correct_prm_test_p1_0", "problem": "old?", "steps": ["x", "y"], "label": -1, "step_labels": [1, 1],
        "classification": "correct", "error_steps": [],
    }  # fmt: skip


def test_of_a_repeated_key_the_first_counts() -> None:
    first, again, other = item("circular", 2, {1}), item("circular", 3, {0}), item("redundency", 1, set())
    assert first_of_each([first, again, other]) == [first, other]
    report = evaluate([first, again], scored({"circular_0": [0.9, 0.1]}), 0.5)
    assert (report.classes, report.n_items, report.repeated) == ({"circular": 100.0}, 1, 1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"idx": 3}, "no idx and classification"),
        ({"classification": None}, "no idx and classification"),
        ({"classification": "redundancy"}, "'redundancy' is none of PRMBench's nine"),
        ({"modified_process": []}, "modified_process"),
        ({"modified_process": ["a", 2]}, "modified_process"),
        ({"modified_question": None}, "modified_question"),
        ({"error_steps": ["1"]}, "error_steps"),
        ({"error_steps": None}, "error_steps"),
    ],
)
def test_rows_of_another_shape_are_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read_item(row(**changes))


def test_rows_of_processbench_are_none() -> None:
    assert not is_row({"id": "gsm8k-0", "steps": [], "label": 0})
    assert is_row(row())


def test_a_step_is_valid_from_the_threshold_on() -> None:
    result = PrmbenchResult((0.5, 0.49, 0.5, 0.49))
    assert result.called_valid("circular", None) == (True, False, True, False)
    assert result.called_valid("circular", 0.5) == (True, False, True, False)
    assert result.called_valid("circular", 0.61) == (False, False, False, False)
    assert count(item("circular", 4, {2, 3}), [True, False, True, False]) == Counts(1, 1, 1, 1)


def test_the_score_is_the_mean_of_both_f1s() -> None:
    counts = Counts(valid_valid=6, valid_invalid=2, invalid_valid=1, invalid_invalid=3)
    assert counts.f1 == pytest.approx(100 * 12 / 15)
    assert counts.negative_f1 == pytest.approx(100 * 6 / 9)
    assert counts.score == pytest.approx((80 + 200 / 3) / 2)
    assert Counts().score == 0.0


def test_classes_dimensions_and_overall() -> None:
    items = [
        item("circular", 2, {1}),
        item("redundency", 2, {1}),
        item("multi_solutions", 2, set()),
        item("counterfactual", 2, {0}),
        item("correct", 4, set()),
    ]
    rewards = {
        "circular_0": [0.9, 0.1],
        "redundency_0": [0.9, 0.9],
        "multi_solutions_0": [0.9, 0.1],
        "counterfactual_0": [0.9, 0.9],
        "correct_0": [0.9, 0.9, 0.9, 0.1],
    }
    report = evaluate(items, scored(rewards))
    redundency = (200 / 3 + 0) / 2
    assert report.classes == pytest.approx(
        {"redundency": redundency, "circular": 100.0, "counterfactual": redundency, "multi_solutions": 200 / 3}
    )
    assert report.dimensions == pytest.approx(
        {"simplicity": (100 + redundency) / 2, "soundness": redundency, "sensitivity": 200 / 3}
    )
    # Pooled over the classes, controls aside: 4 valid called so, 1 not; 1 invalid called so, 2 not.
    assert report.overall == pytest.approx((100 * 8 / 11 + 100 * 2 / 5) / 2)
    assert (report.n_items, report.n_steps, report.missing) == (4, 8, 0)
    assert (report.controls.n_items, report.controls.n_steps, report.controls.accuracy) == (1, 4, 75.0)
    assert set(report.absent) | set(report.classes) == set(CLASSES)


def test_multi_solutions_has_its_f1_alone_even_when_steps_are_called_invalid() -> None:
    report = evaluate([item("multi_solutions", 3, set())], scored({"multi_solutions_0": [0.9, 0.9, 0.1]}))
    assert report.classes == {"multi_solutions": pytest.approx(80.0)}
    assert report.overall == pytest.approx(40.0)


@pytest.mark.parametrize("rewards", [{}, {"circular_0": []}, {"circular_0": [0.9, None]}])
def test_an_item_without_every_reward_is_missing_and_not_wrong(rewards: dict[str, list[float | None]]) -> None:
    items = [item("circular", 2, {1}), item("circular", 1, set(), "1")]
    report = evaluate(items, scored({**rewards, "circular_1": [0.9]}), 0.5)
    assert (report.n_items, report.n_steps, report.missing) == (1, 1, 1)
    assert report.classes == {"circular": 50.0}
    nothing = evaluate(items, {}, 0.5)
    assert (nothing.overall, nothing.classes, nothing.missing) == (None, {}, 2)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=30), st.floats(0, 1))
def test_swapping_valid_and_invalid_swaps_the_f1s(steps: list[tuple[bool, float]], threshold: float) -> None:
    errors = {i for i, (wrong, _) in enumerate(steps) if wrong}
    calls = [reward >= threshold for _, reward in steps]
    counts = count(item("circular", len(steps), errors), calls)
    assert counts.steps == len(steps)
    mirrored = Counts(counts.invalid_invalid, counts.invalid_valid, counts.valid_invalid, counts.valid_valid)
    assert (mirrored.f1, mirrored.negative_f1) == (counts.negative_f1, counts.f1)
    assert 0 <= counts.score <= 100


@pytest.mark.parametrize(
    ("name", "rows", "keys", "out_of_range", "steps"),
    [
        ("circular", 758, 758, 5, 7813),
        ("counterfactual", 757, 757, 13, 10477),
        ("multi_solutions", 165, 160, 0, 2326),
        ("redundency", 758, 758, 6, 11613),
        ("correct", 758, 758, 0, 10832),
    ],
)
def test_the_real_classes(test_data: Path, name: str, rows: int, keys: int, out_of_range: int, steps: int) -> None:
    raw = [json.loads(line) for line in (test_data / "prmbench" / f"{name}.jsonl").read_text("utf-8").splitlines()]
    items = [read_item(one) for one in raw]
    assert (len(items), len({one.key for one in items})) == (rows, keys)
    assert all(one.key.startswith(f"{name}_prm_") for one in items)
    assert sum(one.out_of_range for one in items) == out_of_range
    assert sum(len(one.steps) for one in items) == steps
    assert all(one.classification == name for one in items)


def test_the_real_controls_are_the_originals_of_redundency(test_data: Path) -> None:
    folder = test_data / "prmbench"
    redundency = [json.loads(line) for line in (folder / "redundency.jsonl").read_text("utf-8").splitlines()]
    correct = [read_item(json.loads(line)) for line in (folder / "correct.jsonl").read_text("utf-8").splitlines()]
    made = [read_item(control_row(one)) for one in redundency]
    assert {one.key: one.steps for one in made} == {one.key: one.steps for one in correct}
