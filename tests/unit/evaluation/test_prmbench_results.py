"""PRMBench's result rows: which labels count, against a scorer written down again from the benchmark's definition."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm_jobs.errors import InputError
from rprm_jobs.evaluation.prmbench import evaluate
from rprm_jobs.evaluation.prmbench_results import PrmbenchResult, ResultRow, read_result
from rprm_jobs.evaluation.prmbench_rows import CLASSES, PrmbenchItem


def row(key: str, *, validity: Any = None, redundancy: Any = None, scores: Any = None, **more: Any) -> dict[str, Any]:
    fields = {
        "step_level_validity_labels": validity,
        "step_level_redundancy_labels": redundancy,
        "step_level_validity_scores": scores,
    }
    return {"idx": key, "scores": {name: value for name, value in fields.items() if value is not None}, **more}


def item(classification: str, n: int, errors: set[int], idx: str = "1") -> PrmbenchItem:
    return PrmbenchItem(f"{classification}_{idx}", classification, "p", ("s",) * n, frozenset(errors), False)


def evaluated(items: Sequence[PrmbenchItem], rows: Sequence[Mapping[str, Any]], threshold: float | None = None) -> Any:
    results: dict[str, PrmbenchResult] = {}
    for parsed in map(read_result, rows):
        results.setdefault(parsed.key or "", parsed.result)
    return evaluate(items, results, threshold)


def test_redundancy_labels_count_inverted_for_circular_and_redundency() -> None:
    result = {"validity": [1, 1], "redundancy": [False, True]}
    for classification in ("circular", "redundency"):
        report = evaluated([item(classification, 2, {1})], [row(f"{classification}_1", **result)])
        assert (report.overall, report.classes) == (100.0, {classification: 100.0})
    report = evaluated([item("deception", 2, {1})], [row("deception_1", **result)])
    assert report.classes["deception"] == pytest.approx(100 / 3)


def test_labels_count_and_scores_on_request() -> None:
    rows = [row("confidence_1", validity=[True, False], scores=[0.55, 0.6])]
    items = [item("confidence", 2, {1})]
    assert evaluated(items, rows).overall == 100.0
    assert evaluated(items, rows, 0.5).overall == pytest.approx(100 / 3)
    assert evaluated(items, [row("confidence_1", scores=[0.5, 0.49])]).overall == 100.0
    by_labels_alone = [row("confidence_1", validity=[True, False])]
    assert evaluated(items, by_labels_alone, 0.5).missing == 1


def test_invalid_rows_are_left_out_and_counted() -> None:
    items = [item("deception", 2, {1}), item("deception", 2, {1}, "2"), item("correct", 2, set())]
    rows = [
        row("deception_1", validity=[1, 0]),
        {"idx": "deception_2", "validity": False},
        {"idx": "correct_1", "validity": False, "scores": {}},
    ]
    report = evaluated(items, rows)
    assert (report.overall, report.n_items, report.invalid, report.missing) == (100.0, 1, 1, 0)
    assert (report.controls.n_items, report.controls.invalid, report.controls.missing) == (0, 1, 0)


def test_labels_count_as_far_as_they_go() -> None:
    report = evaluated([item("deception", 5, {1, 4})], [row("deception_1", validity=[1, 0, 1])])
    assert (report.overall, report.n_steps, report.short) == (100.0, 3, 1)


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"scores": {"step_level_validity_scores": []}}, "no idx"),
        ({"idx": "a_1"}, "no object scores"),
        ({"idx": "a_1", "scores": [0.1]}, "no object scores"),
        ({"idx": "a_1", "scores": {}}, "neither step_level_validity_labels nor"),
        ({"idx": "a_1", "scores": {"step_level_validity_scores": {}}}, "scores are not a list"),
        ({"idx": "a_1", "scores": {"step_level_validity_scores": [0.1, "x"]}}, "score 2 is 'x'"),
        ({"idx": "a_1", "scores": {"step_level_validity_scores": [True]}}, "score 1 is True"),
        (row("a_1", validity=[1, 2]), "step_level_validity_labels is not a list of booleans"),
        (row("a_1", validity=[1, None]), "step_level_validity_labels is not a list of booleans"),
        (row("a_1", validity=[1], redundancy="no"), "step_level_redundancy_labels is not a list of booleans"),
        ({"id": 3, "yes_probability_average": [0.1]}, "neither idx nor now_steps"),
        ({"id": 3, "yes_probability_average": 0.1, "now_steps": ["Step 1: a"]}, "scores are not a list"),
    ],
)
def test_rows_of_another_shape_are_refused(result: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read_result(result)


def test_rows() -> None:
    scores = row("a_1", scores=[0.1, 1, None])
    assert read_result(scores) == ResultRow("a_1", None, PrmbenchResult((0.1, 1, None)))
    theirs = {"id": 3, "yes_probability_average": [0.5, 0.6], "now_steps": ["Step 1: a", "Step 2: b"]}
    assert read_result(theirs) == ResultRow(None, ("Step 1: a", "Step 2: b"), PrmbenchResult((0.5, 0.6)))


def official(items: Sequence[PrmbenchItem], rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """PRMBench's score of each class, and of all as `overall`, from counts in the benchmark's own words."""
    matrices = {name: dict.fromkeys(("TP", "FP", "TN", "FN"), 0) for name in (*CLASSES, "overall")}
    seen = {}
    for each in rows:
        seen.setdefault(each["idx"], each)
    for each in items:
        result = seen[each.key]
        if result.get("validity") is False:
            continue
        labels = result["scores"]["step_level_validity_labels"]
        if each.classification in ("redundency", "circular") and "step_level_redundancy_labels" in result["scores"]:
            labels = [not label for label in result["scores"]["step_level_redundancy_labels"]]
        for step, label in enumerate(labels):
            cell = ("F" if bool(label) is (step in each.error_steps) else "T") + ("P" if label else "N")
            for name in (each.classification, "overall"):
                matrices[name][cell] += 1

    def f1(hits: int, *misses: int) -> float:
        return 2 * hits / (2 * hits + sum(misses)) if hits else 0.0

    scores = {}
    for name, m in matrices.items():
        positive, negative = f1(m["TP"], m["FP"], m["FN"]), f1(m["TN"], m["FP"], m["FN"])
        scores[name] = 100 * (positive if name == "multi_solutions" else (positive + negative) / 2)
    return scores


@st.composite
def benchmarks(draw: st.DrawFn) -> tuple[list[PrmbenchItem], list[dict[str, Any]]]:
    items, rows = [], []
    for number, classification in enumerate(draw(st.lists(st.sampled_from(CLASSES), min_size=9, max_size=25))):
        n = draw(st.integers(1, 5))
        each = item(classification, n, draw(st.sets(st.integers(0, n - 1))), str(number))
        labels = st.lists(st.booleans(), min_size=draw(st.integers(1, n)), max_size=n)
        redundancy = draw(st.one_of(st.none(), labels))
        valid = draw(st.sampled_from([True, True, True, False]))
        items.append(each)
        rows.append(row(each.key, validity=draw(labels), redundancy=redundancy))
        rows[-1]["validity"] = valid
    return items, rows + rows[:2]


@given(benchmarks())
def test_any_results_score_as_the_benchmark_scores_them(
    case: tuple[list[PrmbenchItem], list[dict[str, Any]]],
) -> None:
    items, rows = case
    report, expected = evaluated(items, rows), official(items, rows)
    assert {name: expected[name] for name in report.classes} == pytest.approx(dict(report.classes))
    if report.overall is not None:
        assert report.overall == pytest.approx(expected["overall"])


@pytest.mark.parametrize(("threshold", "overall"), [(0.61, 64.555), (0.5, 66.734), (0.25, 67.460)])
def test_half_of_the_recorded_row_by_threshold(test_data: Path, threshold: float, overall: float) -> None:
    """The published row is of every problem: 64.92 at 0.61, 66.62 at 0.5, 67.17 at 0.25. Here is every second one."""
    lines = (test_data / "recorded" / "prmbench_votes_half.jsonl").read_text("utf-8").splitlines()
    items, rows = [], []
    for recorded in map(json.loads, lines):
        votes, errors = recorded["yes_of_10"], {number - 1 for number in recorded["error_steps"]}
        classification = recorded["id"].rpartition("_prm_")[0]
        inside = frozenset(step for step in errors if 0 <= step < len(votes))
        items.append(PrmbenchItem(recorded["id"], classification, "p", ("s",) * len(votes), inside, False))
        labels = [vote / 10 >= threshold for vote in votes]
        rows.append(row(recorded["id"], validity=labels, scores=[vote / 10 for vote in votes]))
    report = evaluated(items, rows)
    assert (report.n_items, report.missing, report.absent) == (3053, 0, ())
    assert report.overall == pytest.approx(official(items, rows)["overall"])
    assert report.overall == pytest.approx(overall, abs=0.005)
    assert evaluated(items, rows, threshold) == report
