"""How held-out measurements are put together: rewards at each K, and recall by kind of error."""

from __future__ import annotations

import pytest

from training.evaluate import measure, rewards_at
from training.splits import draw_split


def test_a_reward_is_the_mean_over_the_parsed_of_the_first_k() -> None:
    values = [[[0.0, 1.0, None, 0.5], [None, None, 0.25, 0.75]]]
    assert rewards_at(values, 1) == [[0.0, None]]
    assert rewards_at(values, 2) == [[0.5, None]]
    assert rewards_at(values, 4) == [[0.5, 0.5]]


def test_a_judge_that_knows_the_labels_measures_100(monkeypatch: pytest.MonkeyPatch) -> None:
    solutions = draw_split("held-out", 40)
    truth = [[[float(index != s.label)] * 4 for index in range(len(s.steps))] for s in solutions]
    monkeypatch.setattr("training.evaluate.judge_solutions", lambda *_: truth)
    report = measure(None, solutions, 4, seed=1)  # type: ignore[arg-type]
    assert set(report) == {"seed", "unparsed", "k1", "k2", "k4"}
    assert (report["k4"]["f1"], report["k4"]["n_error"], report["unparsed"]) == (100.0, 20, 0)
    assert set(report["k4"]["recall"].values()) == {100.0}


def test_a_judge_that_never_objects_measures_0(monkeypatch: pytest.MonkeyPatch) -> None:
    solutions = draw_split("held-out", 40)
    content = [[[1.0, None] for _ in s.steps] for s in solutions]
    monkeypatch.setattr("training.evaluate.judge_solutions", lambda *_: content)
    report = measure(None, solutions, 2, seed=1)  # type: ignore[arg-type]
    assert (report["k2"]["correct_acc"], report["k2"]["f1"]) == (100.0, 0.0)
    assert report["unparsed"] == sum(len(s.steps) for s in solutions)
