"""Benchmark files and predictions: everything that does not fit is refused by file and line, and nothing is scored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.errors import InputError
from rprm_jobs.evaluation import best_of_n, prmbench
from rprm_jobs.evaluation.prmbench_results import PrmbenchResult
from rprm_jobs.evaluation.processbench_report import evaluate
from rprm_jobs.services.evaluation.best_of_n import read_problems
from rprm_jobs.services.evaluation.prmbench import read_benchmark
from rprm_jobs.services.evaluation.prmbench import read_predictions as read_prm_predictions
from rprm_jobs.services.evaluation.processbench import read_items, read_predictions
from rprm_jobs.settings import Limits

LIMITS = Limits()


def write(path: Path, *rows: Mapping[str, Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def reasons(error: pytest.ExceptionInfo[InputError]) -> list[tuple[int, str]]:
    return [(bad.line, bad.reason) for bad in error.value.bad_lines]


def item(id_: str, label: int | None, n: int = 3, **more: Any) -> dict[str, Any]:
    return {"id": id_, "problem": "p", "steps": ["s"] * n, "label": label, **more}


@pytest.fixture
def benchmark(tmp_path: Path) -> str:
    return write(tmp_path / "gsm8k.jsonl", item("gsm8k-0", 1), item("gsm8k-1", -1), item("gsm8k-2", 0, 2))


class TestProcessBench:
    def test_files_and_predictions_meet_by_id(self, benchmark: str, tmp_path: Path) -> None:
        path = write(
            tmp_path / "p.jsonl",
            {"id": "gsm8k-2", "rewards": [0.1, 0.9]},
            {"id": "gsm8k-1", "rewards": [0.9, None, 0.9]},
            {"id": "gsm8k-0", "prediction": 1, "label": 1, "n_steps": 3, "extra": "x"},
        )
        answers = read_predictions(path, read_items([benchmark], LIMITS), LIMITS, 0.5)
        report = evaluate(answers.items, answers.answers, allow_incomplete=True)
        gsm8k = report.subsets["gsm8k"]
        assert (gsm8k.error_acc, gsm8k.correct_acc, gsm8k.without_prediction) == (100.0, 0.0, 1)
        assert report.without_prediction_by_reason == {"without a reward": 1}

    def test_the_rows_own_labels_serve_without_a_benchmark(self, tmp_path: Path) -> None:
        path = write(
            tmp_path / "p.jsonl", {"id": "m-0", "label": 2, "prediction": 2}, item("m-1", -1, rewards=[1, 1, 1])
        )
        answers = read_predictions(path, None, LIMITS, 0.5)
        assert evaluate(answers.items, answers.answers).average_f1 == 100.0

    def test_rows_that_do_not_fit_are_all_named(self, benchmark: str, tmp_path: Path) -> None:
        path = write(
            tmp_path / "p.jsonl",
            {"id": "gsm8k-9", "prediction": 0},
            {"id": "gsm8k-0", "rewards": [0.1, 0.2]},
            {"id": "gsm8k-0", "prediction": 0, "label": 2},
            {"id": "gsm8k-0", "prediction": 0, "n_steps": 4},
            {"prediction": 0},
            {"id": "gsm8k-2", "prediction": 0},
            {"id": "gsm8k-2", "prediction": 1},
            {"id": "gsm8k-1"},
        )
        with pytest.raises(InputError, match="7 rows cannot be used, nothing was scored") as error:
            read_predictions(path, read_items([benchmark], LIMITS), LIMITS, 0.5)
        assert reasons(error) == [
            (1, "id 'gsm8k-9' is not in the benchmark"),
            (2, "2 rewards for 3 steps"),
            (3, "id 'gsm8k-0' has label 2, 1 in the benchmark: two versions of it"),
            (4, "id 'gsm8k-0' has 4 steps, 3 in the benchmark: two versions of it"),
            (5, "the row has no id"),
            (7, f"id 'gsm8k-2' is answered otherwise at {path}:6"),
            (8, "the row has neither prediction nor rewards"),
        ]

    def test_without_labels_nothing_is_scored(self, tmp_path: Path) -> None:
        path = write(
            tmp_path / "p.jsonl", {"id": "m-0", "prediction": 2}, {"id": "m-1", "prediction": 0, "label": True}
        )
        with pytest.raises(InputError, match="2 rows") as error:
            read_predictions(path, None, LIMITS, 0.5)
        assert all("no label" in reason for _, reason in reasons(error))

    def test_two_versions_of_a_benchmark_are_told_apart_from_a_file_named_twice(
        self, benchmark: str, tmp_path: Path
    ) -> None:
        other = write(tmp_path / "other.jsonl", item("gsm8k-0", 2), item("gsm8k-1", -1), item("gsm8k-3", -1))
        with pytest.raises(InputError) as error:
            read_items([benchmark, other], LIMITS)
        assert reasons(error) == [
            (1, f"id 'gsm8k-0' stands at {benchmark}:1 with another text or label: two versions of a benchmark"),
            (2, f"id 'gsm8k-1' is repeated, it stood first at {benchmark}:2"),
        ]

    def test_another_benchmark_is_named_as_what_it_is(self, tmp_path: Path) -> None:
        wrong = write(
            tmp_path / "w.jsonl",
            {"idx": "prm_0", "classification": "circular", "modified_question": "q", "modified_process": ["s"]},
            {"id": "a-0", "problem": "p", "steps": ["s"]},
            {"id": "a", "problem": "p", "steps": ["s"], "label": 0},
            {"id": "a-1", "problem": "p", "steps": [], "label": 0},
        )
        Path(wrong).write_text(Path(wrong).read_text() + "[]\nnonsense\n")
        with pytest.raises(InputError) as error:
            read_items([wrong], LIMITS)
        assert [reason for _, reason in reasons(error)] == [
            "the row has idx and no id, so it is of PRMBench: use rprm-jobs eval prmbench",
            "the row has no label, so it is of no benchmark",
            "id 'a' names no subset, as in gsm8k-12",
            "there are no steps",
            "the row is not a JSON object",
            "not JSON: Expecting value at column 1",
        ]

    def test_only_the_first_bad_rows_are_listed_and_all_are_counted(self, tmp_path: Path) -> None:
        path = write(tmp_path / "p.jsonl", *({"id": f"m-{i}"} for i in range(1050)))
        with pytest.raises(InputError, match="1,050 rows") as error:
            read_predictions(path, {}, LIMITS, 0.5)
        assert (len(error.value.bad_lines), error.value.n_bad) == (1000, 1050)


def prm(classification: str, idx: str, n: int, errors: list[int], **more: Any) -> dict[str, Any]:
    return {
        "idx": idx, "classification": classification, "modified_question": "q?", "modified_process": ["s"] * n,
        "original_question": "o?", "original_process": ["t"] * n, "error_steps": errors, **more,
    }  # fmt: skip


def result(key: str, *scores: float | None) -> dict[str, Any]:
    return {"idx": key, "scores": {"step_level_validity_scores": list(scores)}}


class TestPRMBench:
    def test_a_redundency_row_implies_its_control(self, tmp_path: Path) -> None:
        path = write(tmp_path / "r.jsonl", prm("redundency", "1", 2, [1]), prm("circular", "1", 3, [2]))
        found = read_benchmark([path], LIMITS)
        assert [one.key for one in found.items] == ["redundency_1", "circular_1", "correct_1"]
        solutions = [row.solution for row in found.rows]
        assert [(s.id, s.steps[0], s.label) for s in solutions] == [
            ("redundency_1", "s", 0), ("circular_1", "s", 1), ("correct_1", "t", -1),
        ]  # fmt: skip
        assert [(row.file, row.line) for row in found.rows] == [(path, 1), (path, 2), (path, 1)]

    def test_a_control_of_the_files_own_is_taken_once(self, tmp_path: Path) -> None:
        own = {"idx": "correct_1", "classification": "correct", "question": "o?", "steps": ["t"] * 2, "error_steps": []}
        path = write(tmp_path / "r.jsonl", prm("redundency", "1", 2, [1]), own)
        found = read_benchmark([path], LIMITS)
        assert [one.key for one in found.items] == ["redundency_1", "correct_1"]

    def test_of_repeated_keys_the_first_is_judged_and_scored(self, tmp_path: Path) -> None:
        path = write(tmp_path / "m.jsonl", prm("multi_solutions", "1", 2, []), prm("multi_solutions", "1", 3, []))
        found = read_benchmark([path], LIMITS)
        assert [len(row.solution.steps) for row in found.rows] == [2]
        results = write(
            tmp_path / "p.jsonl", result("multi_solutions_1", 0.9, 0.1), result("multi_solutions_1", 0.1, 0.1, 0.1)
        )
        report = prmbench.evaluate(found.items, read_prm_predictions(results, found, LIMITS), 0.5)
        assert (report.n_items, report.n_steps, report.repeated) == (1, 2, 1)

    def test_results_that_do_not_fit_are_all_named(self, tmp_path: Path) -> None:
        rows = prm("circular", "1", 2, [1]), prm("circular", "3", 1, [1])
        found = read_benchmark([write(tmp_path / "c.jsonl", *rows)], LIMITS)
        path = write(
            tmp_path / "p.jsonl",
            result("circular_2", 0.1),
            result("circular_1", 0.1),
            {"idx": "circular_3", "scores": {"step_level_validity_labels": [True, True]}},
            {"id": "gsm8k-0", "prediction": 1},
        )
        with pytest.raises(InputError, match="4 rows") as error:
            read_prm_predictions(path, found, LIMITS)
        assert [reason for _, reason in reasons(error)] == [
            "'circular_2' is not in the benchmark",
            "'circular_1' has 1 score for 2 steps",
            "'circular_3' has more labels or scores than its 1 step",
            "the row has no idx",
        ]

    def test_results_of_classes_that_are_not_named_are_left_out_and_counted(self, tmp_path: Path) -> None:
        found = read_benchmark([write(tmp_path / "c.jsonl", prm("circular", "1", 2, [2]))], LIMITS)
        path = write(tmp_path / "p.jsonl", result("circular_1", 0.9, 0.1), result("deception_7", 0.1))
        report = prmbench.evaluate(found.items, read_prm_predictions(path, found, LIMITS))
        assert (report.overall, report.n_items, report.unnamed) == (100.0, 1, 1)

    def test_rows_of_r_prm_meet_their_items_by_key_or_by_their_steps(self, tmp_path: Path) -> None:
        same = {"modified_process": ["1. a", ""]}
        files = write(
            tmp_path / "m.jsonl",
            prm("circular", "1", 2, [1], modified_process=["x", "y"]),
            prm("deception", "1", 2, [1], **same),
            prm("deception", "2", 2, [2], **same),
        )
        found = read_benchmark([files], LIMITS)
        named = ["Step 1: 1. a", "Step 2: "]
        path = write(
            tmp_path / "p.jsonl",
            {"id": 4, "yes_probability_average": [0.1, 0.9], "now_steps": named},
            {"id": 7, "yes_probability_average": [0.2, 0.8], "now_steps": named},
            {"id": "circular_1", "yes_probability_average": [0.3, 0.7]},
        )
        results = read_prm_predictions(path, found, LIMITS)
        assert {key: one.scores for key, one in results.items()} == {
            "deception_1": (0.1, 0.9), "deception_2": (0.2, 0.8), "circular_1": (0.3, 0.7),
        }  # fmt: skip
        path = write(
            tmp_path / "bad.jsonl",
            *({"id": n, "yes_probability_average": [0.1, 0.9], "now_steps": named} for n in range(3)),
            {"id": 9, "yes_probability_average": [0.1]},
        )
        with pytest.raises(InputError, match="2 rows") as error:
            read_prm_predictions(path, found, LIMITS)
        assert reasons(error) == [
            (3, "no item of the benchmark has these now_steps"),
            (4, "the row has neither idx nor now_steps, so nothing says which solution it is of"),
        ]

    def test_other_rows_are_refused(self, tmp_path: Path) -> None:
        path = write(
            tmp_path / "x.jsonl",
            item("gsm8k-0", 0),
            prm("redundency", "1", 2, [1], original_process=None),
            prm("circular", "1", 1, [1], modified_process=[" ", None]),
        )
        with pytest.raises(InputError, match="eval processbench") as error:
            read_benchmark([path], LIMITS)
        assert [reason for _, reason in reasons(error)] == [
            "the row has no idx and classification, so it is none of PRMBench",
            "question and steps are not a text and a list of texts",
            "modified_question and modified_process are not a text and a list of texts",
        ]

    def test_the_real_classes(self, test_data: Path) -> None:
        found = read_benchmark([str(test_data / "prmbench")], LIMITS)
        assert (len(found.items), len(found.rows)) == (3196, 3191)
        results = {key: PrmbenchResult((1.0,) * len(one.steps)) for key, one in found.by_key.items()}
        report = prmbench.evaluate(found.items, results)
        assert (report.n_items, report.repeated, report.out_of_range, report.missing) == (2433, 5, 24, 0)
        assert (report.controls.n_items, report.controls.accuracy) == (758, 100.0)
        assert report.classes["multi_solutions"] == 100.0
        assert report.overall is not None
        assert report.overall < 50
        without = read_benchmark([str(test_data / "prmbench" / "redundency.jsonl")], LIMITS)
        assert sum(one.is_control for one in without.items) == 758


class TestBestOfN:
    def test_responses_become_solutions(self, tmp_path: Path) -> None:
        row = {"id": "7", "problem": "p?", "responses": [["a"], ["b", "c"]], "labels": [True, False]}
        found = read_problems([write(tmp_path / "b.jsonl", row)], LIMITS)
        assert [(r.solution.id, r.solution.steps, r.solution.metadata) for r in found.rows] == [
            ("7#0", ("a",), {"correct": True}),
            ("7#1", ("b", "c"), {"correct": False}),
        ]

    def test_bad_rows_are_named(self, tmp_path: Path) -> None:
        row = {"id": "7", "problem": "p?", "responses": [["a"], ["b", "c"]], "labels": [True, False]}
        path = write(
            tmp_path / "b.jsonl",
            row,
            row,
            {**row, "id": "8", "rewards": [[0.1], [0.1]]},
            {**row, "id": "9", "problem": ""},
        )
        with pytest.raises(InputError, match="3 rows") as error:
            read_problems([path], LIMITS)
        assert reasons(error) == [
            (2, f"id '7' is repeated, it stood first at {path}:1"),
            (3, "1 reward for 2 steps"),
            (4, "response 1: field problem is empty"),
        ]

    def test_rewards_in_the_rows_need_no_judge(self, tmp_path: Path) -> None:
        row = {"id": 7, "problem": "p?", "responses": [["a"], ["b", "c"]], "labels": [True, False]}
        found = read_problems([write(tmp_path / "b.jsonl", {**row, "rewards": [[0.9], [0.9, 0.1]]})], LIMITS)
        report = best_of_n.evaluate(found.problems, [2])
        assert report.best_of is not None
        assert {name: by_n[2] for name, by_n in report.best_of.items()} == dict.fromkeys(report.best_of, 1.0)
