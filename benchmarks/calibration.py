"""What calibrated rewards are worth: `python -m benchmarks.calibration VOTES`, on recorded votes with labels.

VOTES has rows with `id`, `problem`, `yes_of_10` and `error_steps`; the class of an error is the beginning of the id.
Fitted to one half of the problems and measured on the other, each in turn; and fitted to all classes of error but one
and measured on that one, on problems that it was not fitted to. Scores are PRMBench's over all steps, at 0.5 and at the
threshold that is best where it was fitted; Brier scores are mean squared errors of the reward as a probability.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks import harness
from rprm_jobs.evaluation.calibrated import Calibrator, best_threshold, fit, step_score
from rprm_jobs.stopping.recorded import RecordedSolution, read_solution
from rprm_jobs.stopping.simulate import mean_vote

_CLASS = re.compile(r"(.+?)_prm_")
Row = tuple[str, RecordedSolution]


def main() -> None:
    """Parse, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("votes", type=Path)
    args = parser.parse_args()
    before = harness.machine()
    lines = [msgspec.json.decode(line) for line in args.votes.read_bytes().splitlines()]
    rows: list[Row] = [(_class_of(line["id"]), read_solution(line)) for line in lines]
    halves = _halves(rows)
    report: dict[str, Any] = {
        "steps": sum(len(solution.votes) for _, solution in rows),
        "halves": [_compare(halves[i], halves[1 - i]) for i in (0, 1)],
        "halves_with_position": [_compare(halves[i], halves[1 - i], position=True) for i in (0, 1)],
        "left_out_class": {
            name: _compare([r for r in halves[0] if r[0] != name], [r for r in halves[1] if r[0] == name])
            for name in sorted({name for name, solution in rows if any(solution.wrong)})
        },
    }
    harness.report("calibration", before, report)


def _class_of(id_: str) -> str:
    match = _CLASS.match(id_)
    return match[1] if match else id_


def _halves(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    problems = sorted({str(solution.problem) for _, solution in rows})
    random.Random(0).shuffle(problems)
    first = set(problems[: len(problems) // 2])
    return (
        [row for row in rows if str(row[1].problem) in first],
        [row for row in rows if str(row[1].problem) not in first],
    )


def _compare(fitted_to: Sequence[Row], measured_on: Sequence[Row], *, position: bool = False) -> dict[str, Any]:
    calibrator = fit(((s.votes, [not wrong for wrong in s.wrong]) for _, s in fitted_to), position=position)
    old, _, truths = _rewards(calibrator, fitted_to)
    raw, calibrated, correct = _rewards(calibrator, measured_on)
    return {
        "raw_at_0.5": round(step_score(raw, correct, 0.5), 2),
        "raw_at_best": round(step_score(raw, correct, best_threshold(old, truths)), 2),
        "calibrated_at_0.5": round(step_score(calibrated, correct, 0.5), 2),
        "calibrated_at_best": round(step_score(calibrated, correct, calibrator.threshold), 2),
        "brier": [round(float(((rewards - correct) ** 2).mean()), 4) for rewards in (raw, calibrated)],
        "reliability": [_reliability(rewards, correct) for rewards in (raw, calibrated)],
    }


def _rewards(calibrator: Calibrator, rows: Sequence[Row]) -> tuple[Any, Any, Any]:
    raw = [mean_vote(votes) for _, solution in rows for votes in solution.votes]
    calibrated = [reward for _, solution in rows for reward in calibrator.rewards(solution.votes)]
    truths = [not wrong for _, solution in rows for wrong in solution.wrong]
    return np.array(raw, dtype=float), np.array(calibrated, dtype=float), np.array(truths)


def _reliability(rewards: Any, correct: Any) -> list[list[float]]:
    """By tenths of the reward: its mean, the fraction of these steps that is correct, and how many they are."""
    bins = np.minimum((rewards * 10).astype(int), 9)
    curve = []
    for place in range(10):
        of = bins == place
        if of.any():
            curve.append([round(float(rewards[of].mean()), 3), round(float(correct[of].mean()), 3), int(of.sum())])
    return curve


if __name__ == "__main__":
    main()
