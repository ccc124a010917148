"""Labelled input: which steps are to be judged, over which steps before them, and what is left out and counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.errors import BadLine
from rprm_jobs.formats import ReadOptions
from rprm_jobs.formats.readers.labelled import LabelCounts, read_labelled
from rprm_jobs.settings import Limits
from rprm_jobs.types import Solution

Found = tuple[list[Solution], list[str], LabelCounts]


def read(folder: Path, *rows: Any, skip_neutral: bool = False) -> Found:
    """The solutions, the reasons of refused rows, and the counts."""
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_file(file, skip_neutral=skip_neutral)


def read_file(file: Path, *, skip_neutral: bool = False) -> Found:
    counts = LabelCounts()
    found = list(read_labelled([str(file)], ReadOptions(), Limits(), counts, skip_neutral=skip_neutral))
    reasons = [row.reason for row in found if isinstance(row, BadLine)]
    return [row.solution for row in found if not isinstance(row, BadLine)], reasons, counts


def plain(**more: Any) -> dict[str, Any]:
    return {"id": "a", "problem": "p", "steps": ["s1", "s2", "s3"], **more}


@pytest.mark.parametrize(
    ("labels", "judged"),
    [
        ({"label": 1}, (0, 1)),
        ({"label": -1}, (0, 1, 2)),
        ({"label": 0}, (0,)),
        ({"step_labels": [None, True, None]}, (1,)),
        ({"step_labels": [1, 0, -1]}, (0, 1, 2)),
        ({"label": 2, "step_labels": [1, None, -1]}, (0, 2)),
    ],
)
def test_steps_with_a_label_are_to_be_judged(tmp_path: Path, labels: dict[str, Any], judged: tuple[int, ...]) -> None:
    (one,), reasons, _ = read(tmp_path, plain(**labels))
    assert (one.judge_steps, reasons) == (judged, [])


def test_neutral_steps_can_be_left_out(tmp_path: Path) -> None:
    rows = [plain(step_labels=[1, 0, -1]), plain(id="b", step_labels=[0, None, 0])]
    found, _, counts = read(tmp_path, *rows, skip_neutral=True)
    assert [s.judge_steps for s in found] == [(0, 2)]
    assert counts == LabelCounts(correct=1, wrong=1, neutral_left_out=3, unlabelled=1, rows_left_out=1)
    found, _, counts = read(tmp_path, *rows)
    assert [s.judge_steps for s in found] == [(0, 1, 2), (0, 2)]
    assert counts == LabelCounts(correct=1, wrong=1, neutral=3, unlabelled=1)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (plain(), "has no label"),
        (plain(label=1, step_labels=[1, 1, -1]), "do not agree on step 2"),
        (plain(label=3), "label is 3"),
        (plain(step_labels=[1, 1]), "step_labels has 2 entries"),
    ],
)
def test_rows_without_usable_labels_are_refused(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    found, (said,), _ = read(tmp_path, row, plain(id="good", label=-1))
    assert reason in said
    assert [s.id for s in found] == ["good"]


def phase1(*steps: Any) -> dict[str, Any]:
    return {"id": "q", "problem": "p", "linear": True, "steps": list(steps)}


def completion(text: str, rating: int | None, **more: Any) -> dict[str, Any]:
    return {"text": text, "rating": rating, **more}


FIRST = {"completions": [completion("a1", -1), completion("a2", 1, is_preferred=True), completion("a3", None)]}
SECOND = {"completions": [completion("b1", None, is_human=True, is_preferred=True), completion("b2", 0)]}
THIRD = {"completions": [completion("c1", None), completion("c2", -1), completion("c3", 1)]}


def test_every_rated_completion_is_judged_over_the_chosen_ones_before_it(tmp_path: Path) -> None:
    found, reasons, counts = read(tmp_path, phase1(FIRST, SECOND, THIRD))
    assert reasons == []
    assert [(s.id, s.steps, s.judge_steps) for s in found] == [
        ("q", ("a2", "b1", "c2"), (0, 2)),
        ("q/1.1", ("a1",), (0,)),
        ("q/2.2", ("a2", "b2"), (1,)),
        ("q/3.3", ("a2", "b1", "c3"), (2,)),
    ]
    assert [s.step_labels for s in found] == [(1, None, -1), (-1,), (None, 0), (None, None, 1)]
    assert {s.problem for s in found} == {"p"}
    assert found[0].metadata == found[1].metadata == {"linear": True}
    assert counts == LabelCounts(correct=2, neutral=1, wrong=2, unlabelled=3)


def openai(*steps: Any, **more: Any) -> dict[str, Any]:
    return {
        "labeler": "d8aa7923-b970", "timestamp": "2022-07-30T14:37:42.402206", "generation": None,
        "is_quality_control_question": False, "question": {"problem": "p", "ground_truth_answer": "4"},
        "label": {"steps": list(steps), "total_time": 9, "finish_reason": "found_error"}, **more,
    }  # fmt: skip


def test_openais_own_rows_are_read(tmp_path: Path) -> None:
    row = openai(
        {"completions": [completion("a1", 1, flagged=False), completion("a2", -1)], "human_completion": None,
         "chosen_completion": 0},
        {"completions": [completion("b1", -1)], "human_completion": completion("human", None),
         "chosen_completion": None},
        {"completions": [completion("c1", -1)], "human_completion": None, "chosen_completion": None},
    )  # fmt: skip
    found, reasons, counts = read(tmp_path, row)
    assert reasons == []
    name = "2022-07-30T14:37:42.402206/d8aa7923"
    assert [(s.id, s.steps, s.judge_steps, s.step_labels) for s in found] == [
        (name, ("a1", "human", "c1"), (0, 2), (1, None, -1)),
        (f"{name}/1.2", ("a2",), (0,), (-1,)),
        (f"{name}/2.1", ("a1", "b1"), (1,), (None, -1)),
    ]
    assert found[0].metadata["finish_reason"] == "found_error"
    assert found[0].metadata["ground_truth_answer"] == "4"
    assert counts == LabelCounts(correct=1, wrong=3, unlabelled=1)


def test_a_row_that_nobody_rated_is_left_out_and_counted(tmp_path: Path) -> None:
    found, reasons, counts = read(tmp_path, phase1({"completions": [completion("a", None)]}))
    assert (found, reasons) == ([], [])
    assert counts == LabelCounts(unlabelled=1, rows_left_out=1)


@pytest.mark.parametrize("completions", [None, []])
def test_a_last_step_without_anything_leaves_the_rated_steps_before_it(tmp_path: Path, completions: Any) -> None:
    empty = {"completions": completions, "human_completion": None, "chosen_completion": None}
    rated = {"completions": [completion("a", 1), completion("b", -1)], "chosen_completion": 0}
    rows, reasons, counts = read(tmp_path, openai(rated, empty))
    assert (reasons, counts.correct, counts.wrong, counts.rows_left_out) == ([], 1, 1, 0)
    assert [(s.steps, s.step_labels) for s in rows] == [(("a",), (1,)), (("b",), (-1,))]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (phase1({"completions": [completion("a", 1)]}, SECOND), "step 1 has no chosen completion"),
        (phase1({"completions": [completion("a", 2)]}), "step 1, completion 1: rating is 2"),
        (phase1({"completions": [completion("a", True)]}), "rating is True"),
        (phase1({"completions": []}), "no step has a completion"),
        (phase1({"completions": []}, SECOND), "step 1 has no completion, and further steps follow it"),
        (phase1({"completions": [completion("a", 1), "b"]}), "not a list of objects"),
        (phase1({"completions": [completion("a", 1, is_preferred=True)] * 2}), "2 preferred"),
        (phase1(FIRST, {"completions": [completion("", 1, is_preferred=True)]}), "q: step 2 is empty"),
        (phase1(FIRST, {"completions": [completion("b", 1), {"rating": -1}]}), "q/2.2: step 2 is null"),
        (phase1(FIRST, "text"), "step 2 is not an object"),
        (openai({"completions": [completion("a", 1)], "chosen_completion": 4}), "chosen_completion is not one of"),
        (openai({"completions": [completion("a", 1)], "chosen_completion": 0}, labeler=None), "field id is missing"),
        (openai(), "no list of steps"),
    ],
)
def test_rows_of_prm800k_that_do_not_hold_together_are_refused(
    tmp_path: Path, row: dict[str, Any], reason: str
) -> None:
    found, (said,), _ = read(tmp_path, row)
    assert reason in said
    assert found == []


@pytest.mark.parametrize(
    ("file", "counts", "solutions"),
    [
        ("phase1_test_solutions", LabelCounts(2245, 867, 1970, 0, 367, 3), 3582),
        ("phase2_sample_100", LabelCounts(459, 132, 85, 0, 0, 0), 100),
    ],
)
def test_every_rated_completion_of_the_real_rows_is_judged(
    test_data: Path, file: str, counts: LabelCounts, solutions: int
) -> None:
    found, reasons, counted = read_file(test_data / "prm800k" / f"{file}.jsonl")
    assert (reasons, counted, len(found)) == ([], counts, solutions)
    assert sum(len(s.judge_steps or ()) for s in found) == counts.correct + counts.neutral + counts.wrong
    assert len({s.id for s in found}) == solutions


def test_processbench_is_labelled_up_to_its_first_error(test_data: Path) -> None:
    found, reasons, counts = read_file(test_data / "processbench" / "gsm8k.jsonl")
    assert (len(found), reasons) == (400, [])
    assert (counts.correct + counts.wrong + counts.unlabelled, counts.wrong) == (2082, 207)
