"""Judges side by side: kappa by its definition, paired intervals, PRMScore and accuracy by position."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from rprm_jobs.evaluation.agreement import kappa
from rprm_jobs.evaluation.bootstrap import mean_difference, paired_f1_draws
from rprm_jobs.evaluation.comparison import Comparison, JudgedAlike, accuracy_by_position
from rprm_jobs.evaluation.metrics import NO_ERROR
from rprm_jobs.evaluation.processbench import score
from rprm_jobs.evaluation.processbench_answers import Answer


def plain_kappa(pairs: list[tuple[object, object]]) -> float:
    n = len(pairs)
    agreed = sum(a == b for a, b in pairs) / n
    calls = {call for pair in pairs for call in pair}
    expected = sum(sum(a == c for a, _ in pairs) / n * sum(b == c for _, b in pairs) / n for c in calls)
    return (agreed - expected) / (1 - expected)


@pytest.mark.parametrize("seed", range(5))
def test_kappa_is_cohens(seed: int) -> None:
    rng = random.Random(seed)
    pairs: list[tuple[object, object]] = [(rng.randrange(4), rng.randrange(4)) for _ in range(50)]
    assert kappa(Counter(pairs)) == pytest.approx(plain_kappa(pairs))


def test_kappa_has_no_value_where_chance_explains_all() -> None:
    assert kappa({}) is None
    assert kappa({(True, True): 9}) is None
    assert kappa({(True, True): 9, (False, False): 1}) == 1.0
    assert kappa({(True, False): 5, (False, True): 5}) == -1.0


def judged(n: int, label: int, firsts: tuple[int | None, int | None], steps: int = 4) -> JudgedAlike:
    calls = tuple(
        (None,) * steps if first is None else tuple(step != first for step in range(steps)) for first in firsts
    )
    truths = tuple(True if label == NO_ERROR or t < label else False if t == label else None for t in range(steps))
    answers = tuple(Answer(first, "" if first is not None else "failed") for first in firsts)
    return JudgedAlike(f"s{n}", label, truths, False, None, answers, calls, (10, 4))


def test_f1_is_processbenchs_and_the_interval_holds_the_difference() -> None:
    rng = random.Random(1)
    labels = [rng.randrange(4) if n % 2 else NO_ERROR for n in range(200)]
    compared = Comparison(2)
    predictions: tuple[list[int | None], list[int | None]] = ([], [])
    for n, label in enumerate(labels):
        firsts = tuple(label if rng.random() < good else rng.choice([0, 1, 2, 3, None]) for good in (0.5, 0.9))
        compared.add(judged(n, label, (firsts[0], firsts[1])))
        for place, first in zip(predictions, firsts, strict=True):
            place.append(first)
    f1s = [score(labels, place).f1 for place in predictions]
    reports = [compared.report(n) for n in (0, 1)]
    assert [report and report.average_f1 for report in reports] == pytest.approx(f1s)
    pair = compared.pair_report(0, 1)
    assert pair["f1_difference"] == pytest.approx(f1s[1] - f1s[0])
    low, high = pair["f1_interval"]
    assert 0 < low < pair["f1_difference"] < high
    assert pair["tokens_difference"] == -6
    assert pair["tokens_interval"] == (-6, -6)
    both = [(a, b) for a, b in zip(*predictions, strict=True) if a is not None and b is not None]
    assert pair["solutions"] == len(both)
    assert pair["kappa_first_error"] == pytest.approx(plain_kappa(list(both)))


def test_pairs_narrow_the_interval_of_judges_that_err_together() -> None:
    rng = np.random.default_rng(0)
    alike = paired_f1_draws(((50, 0, 0, 50), (50, 0, 0, 50)), rng)
    assert np.array_equal(*alike)
    apart = paired_f1_draws(((0, 50, 50, 0), (0, 50, 50, 0)), rng)
    assert np.std(apart[0] - apart[1]) > 5
    assert mean_difference([1, 2, 3], [3, 4, 5], rng) == (2.0, 2.0)


def test_one_kind_of_solution_has_no_f1_and_no_difference_of_it() -> None:
    compared = Comparison(2)
    compared.add(judged(0, NO_ERROR, (-1, 2)))
    assert compared.pair_report(0, 1)["f1_difference"] is None
    assert Comparison(2).report(0) is None


def test_accuracy_by_position_counts_what_the_labels_say() -> None:
    compared = Comparison(2)
    compared.add(judged(0, 2, (2, 1)))
    compared.add(judged(1, NO_ERROR, (0, None)))
    first, second = (accuracy_by_position(totals.positions) for totals in compared.judges)
    assert [(p["position"], p["n"], p["accuracy"]) for p in first] == [
        (1, 2, 50),
        (2, 2, 100),
        (3, 2, 100),
        (4, 1, 100),
    ]
    assert [(p["position"], p["n"], p["accuracy"]) for p in second] == [(1, 1, 100), (2, 1, 0), (3, 1, 0)]


def test_prmscore_is_over_rated_steps_without_controls_and_without_gaps() -> None:
    compared = Comparison(1)
    for n, (name, truths, calls) in enumerate(
        [
            ("circular", (True, False), (True, False)),
            ("circular", (True, False), (False, False)),
            ("correct", (True, True), (False, False)),
            ("circular", (True, True), (None, True)),
        ]
    ):
        answer = (Answer(-1),)
        compared.add(JudgedAlike(f"i{n}", -1, truths, True, name, answer, (calls,), (1,)))
    # Valid: 1 right, 1 called invalid. Invalid: both found. F1 of valid 2/3, of invalid 4/5.
    assert compared.prm_score(0) == pytest.approx(100 * (2 / 3 + 4 / 5) / 2)
    assert list(compared.prm_classes(0)) == ["circular"]
