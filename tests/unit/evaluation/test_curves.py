"""Curves from stored critiques: resampled F1, thresholds, calibration and positions, against hand-made cases."""

from __future__ import annotations

import random

import pytest

from rprm_jobs.aggregation import first_error
from rprm_jobs.errors import InputError
from rprm_jobs.evaluation.curves import LabelledVotes, accuracy_by_position, calibration, f1_by_k, f1_by_threshold
from rprm_jobs.evaluation.processbench import score_rewards


def noisy(n: int, *, k: int = 8, seed: int = 0, sure: float = 0.7) -> list[LabelledVotes]:
    """Solutions of a judge whose every critique is right with probability `sure`."""
    rng = random.Random(seed)
    made = []
    for _ in range(n):
        steps = rng.randint(2, 5)
        label = rng.choice([-1, *range(steps)])
        wrong = [label != -1 and step >= label for step in range(steps)]
        votes = tuple(tuple(float((rng.random() < sure) is not bad) for _ in range(k)) for bad in wrong)
        made.append(LabelledVotes(label, votes))
    return made


def test_more_critiques_are_better_and_all_of_them_leave_nothing_to_chance() -> None:
    judged = noisy(200)
    points = f1_by_k(judged, [1, 2, 4, 8], 0.5)
    assert [point.at for point in points] == [1, 2, 4, 8]
    assert points[0].f1 < points[2].f1 < points[3].f1
    assert points[0].low < points[0].f1 < points[0].high
    assert points[3].low == points[3].high == points[3].f1
    whole = [[sum(step) / len(step) for step in one.votes] for one in judged]
    assert points[3].f1 == pytest.approx(score_rewards([one.label for one in judged], whole).f1)
    assert f1_by_k(judged, [1], 0.5) == f1_by_k(judged, [1], 0.5)


def test_one_critique_of_two_is_drawn_with_equal_chance() -> None:
    judged = [LabelledVotes(0, ((0.0, 1.0),)), LabelledVotes(-1, ((1.0, 1.0),))]
    point = f1_by_k(judged, [1], 0.5, resamples=4000)[0]
    assert point.f1 == pytest.approx(50, abs=3)


def test_only_stored_critiques_are_drawn_and_unparsed_ones_among_them() -> None:
    # The first solution has two critiques a step, the second four; k=2 takes both of the first.
    judged = [LabelledVotes(0, ((0.0, None),)), LabelledVotes(-1, ((1.0, 1.0, 1.0, 1.0),))]
    assert f1_by_k(judged, [2], 0.5)[0] == f1_by_k(judged, [2], 0.5, seed=9)[0]
    half = f1_by_k([*judged, LabelledVotes(0, ((0.0, 0.0),))], [1], 0.5, resamples=2000)[0]
    assert half.f1 == pytest.approx((100 + 200 / 3) / 2, abs=2)
    assert half.n == pytest.approx(2.5, abs=0.1)


@pytest.mark.parametrize("ks", [[3], [0], []])
def test_a_k_that_is_not_stored_is_refused(ks: list[int]) -> None:
    with pytest.raises(InputError, match="stored critiques"):
        f1_by_k([LabelledVotes(0, ((0.0, 1.0),)), LabelledVotes(-1, ((1.0, 1.0, 1.0),))], ks, 0.5)


def test_thresholds() -> None:
    judged = [LabelledVotes(1, ((0.9,), (0.4,))), LabelledVotes(-1, ((0.7,), (0.45,)))]
    f1s = {point.at: point.f1 for point in f1_by_threshold(judged, [0.3, 0.42, 0.5, 0.95])}
    assert f1s == {0.3: 0.0, 0.42: 100.0, 0.5: 0.0, 0.95: 0.0}


def test_predictions_are_those_of_the_job_at_every_threshold() -> None:
    rng = random.Random(5)
    judged = [
        LabelledVotes(rng.choice([-1, 0]), tuple((rng.random(), rng.random()) for _ in range(rng.randint(1, 4))))
        for _ in range(60)
    ]
    for threshold in (0.2, 0.5, 0.8):
        rewards = [[sum(step) / 2 for step in one.votes if None not in step] for one in judged]
        expected = sum(
            first_error(r, threshold) == one.label for r, one in zip(rewards, judged, strict=True) if one.label == -1
        )
        point = f1_by_threshold(judged, [threshold])[0]
        right = 100 * expected / sum(one.label == -1 for one in judged)
        hits = [first_error(r, threshold) == 0 for r, one in zip(rewards, judged, strict=True) if one.label == 0]
        error = 100 * sum(hits) / len(hits)
        assert point.f1 == pytest.approx(2 * right * error / (right + error))


def test_a_reward_missing_before_the_error_is_a_miss() -> None:
    judged = [LabelledVotes(0, ((None,), (0.1,))), LabelledVotes(0, ((0.1,), (None,))), LabelledVotes(-1, ((0.9,),))]
    point = f1_by_threshold(judged, [0.5])[0]
    assert (point.f1, point.n) == (pytest.approx(200 / 3), 2)


def test_one_kind_alone_has_no_f1() -> None:
    with pytest.raises(InputError, match="no erroneous solution"):
        f1_by_threshold([LabelledVotes(-1, ((1.0,),))], [0.5])
    with pytest.raises(InputError, match="no judged step"):
        f1_by_threshold([], [0.5])


def test_what_labels_tell_of_steps() -> None:
    votes = ((1.0,),) * 3
    assert LabelledVotes(1, votes).truths() == [True, False, None]
    assert LabelledVotes(-1, votes).truths() == [True, True, True]
    assert LabelledVotes(1, votes, (1, 0, None)).truths() == [True, True, None]
    assert LabelledVotes(1, votes, (1, -1, -1)).truths() == [True, False, False]


def test_calibration() -> None:
    judged = [
        LabelledVotes(1, ((1.0, 0.8), (0.1, 0.1), (0.5,))),
        LabelledVotes(-1, ((0.9,), (1.0,))),
        LabelledVotes(0, ((0.15,),)),
    ]
    found = calibration(judged, bins=10)
    assert [(b.low, b.n, b.right) for b in found.bins] == [(0.1, 2, 0.0), (0.9, 3, 1.0)]
    assert found.bins[1].reward == pytest.approx((0.9 + 0.9 + 1.0) / 3)
    assert found.error == pytest.approx((2 * 0.125 + 3 * (1 - 2.8 / 3)) / 5)
    assert found.brier == pytest.approx((0.1**2 + 0.15**2 + 2 * 0.1**2) / 5)


def test_accuracy_by_position() -> None:
    judged = [LabelledVotes(1, ((0.9,), (0.6,), (0.5,))), LabelledVotes(-1, ((0.2,), (0.6,)))]
    found = [(p.position, p.n, p.accuracy) for p in accuracy_by_position(judged, 0.5)]
    assert found == [(0, 2, 0.5), (1, 2, 0.5)]


def test_nothing_known_is_refused() -> None:
    with pytest.raises(InputError, match="both a reward and a label"):
        calibration([LabelledVotes(-1, ((None,),))])
    with pytest.raises(InputError, match="both a reward and a label"):
        accuracy_by_position([], 0.5)
