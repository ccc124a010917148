"""The measures against hand-made cases and against recorded predictions of a real judge."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path

import pytest

from rprm_jobs.errors import InputError
from rprm_jobs.evaluation.metrics import correct_acc, error_acc, f1
from rprm_jobs.evaluation.processbench import ProcessBenchScore, score, score_rewards

DATA = Path(os.environ.get("RPRM_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))


def test_accuracies_want_the_exact_step() -> None:
    labels = [2, 2, -1, -1, 0]
    predictions = [2, 1, -1, 3, -1]
    assert error_acc(labels, predictions) == pytest.approx(100 / 3)
    assert correct_acc(labels, predictions) == 50.0
    assert error_acc(labels, [2, None, -1, 3, None]) == pytest.approx(100 / 3)
    assert correct_acc(labels, [2, None, None, -1, 0]) == 50.0


@pytest.mark.parametrize(("error", "correct", "expected"), [(0, 0, 0), (100, 0, 0), (50, 100, 200 / 3), (80, 80, 80)])
def test_f1_is_the_harmonic_mean(error: float, correct: float, expected: float) -> None:
    assert f1(error, correct) == pytest.approx(expected)


def test_an_undefined_accuracy_is_refused() -> None:
    with pytest.raises(InputError, match="no erroneous solution"):
        score([-1, -1], [-1, 0])
    with pytest.raises(InputError, match="no correct solution"):
        score([1], [1])
    with pytest.raises(InputError, match="2 labels for 1 predictions"):
        error_acc([1, -1], [1])


def test_rewards_are_scored_by_their_first_error() -> None:
    rewards = [[0.9, 0.4, None], [0.7, 0.9], [0.7, None]]
    assert score_rewards([1, -1, -1], rewards) == ProcessBenchScore(100.0, 50.0, pytest.approx(200 / 3), 1, 2)


def test_a_subset_is_complete_only_with_all_its_solutions() -> None:
    assert ProcessBenchScore(1, 1, 1, 207, 193).is_complete("gsm8k")
    assert not ProcessBenchScore(1, 1, 1, 206, 193).is_complete("gsm8k")
    assert not ProcessBenchScore(1, 1, 1, 207, 193).is_complete("another")


@pytest.mark.skipif(not DATA.is_dir(), reason="the recorded predictions are not here; set RPRM_TEST_DATA")
def test_recorded_predictions_give_the_published_f1() -> None:
    rows = defaultdict(list)
    for line in (DATA / "recorded" / "processbench_predictions_200.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        rows[row["subset"]].append((row["label"], row["prediction"]))
    scores = {subset: score(*zip(*pairs, strict=True)).f1 for subset, pairs in rows.items()}
    expected = {"gsm8k": 70.0, "math": 72.727, "olympiadbench": 69.825, "omnimath": 56.757}
    assert scores == pytest.approx(expected, abs=5e-4)
    assert sum(scores.values()) / 4 == pytest.approx(67.327, abs=5e-4)
