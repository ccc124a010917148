"""Whether a calibration moves to errors of a kind that it never saw: `python -m benchmarks.calibration_world`.

Held-out solutions of the tiny judge's world, judged by `tiny` with K critiques a step on a vLLM worker. For each of the
world's four kinds of errors: fitted to the right solutions and those with the other kinds in one half, measured on the
right ones and those with this kind in the other half. Scores and Brier scores are those of `benchmarks.calibration`;
steps behind a first error have no label.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness
from benchmarks.served import serving, write_rows
from rprm_jobs.evaluation.calibrated import best_threshold, fit, step_score
from rprm_jobs.evaluation.curves import LabelledVotes
from rprm_jobs.services.jobs.results import result_rows
from rprm_jobs.stopping.recorded import read_votes
from rprm_jobs.stopping.simulate import mean_vote
from training.splits import as_row, draw_split
from training.world import ERROR_KINDS

_RIGHT = "none"
Judged = tuple[str, list[list[float | None]], list[bool | None]]


def main() -> None:
    """Parse, judge, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--solutions", type=int, default=400)
    parser.add_argument("-k", type=int, default=8)
    args = parser.parse_args()
    before = harness.machine()
    with tempfile.TemporaryDirectory() as folder:
        rows = [as_row("heldout", n, chain) for n, chain in enumerate(draw_split("held-out", args.solutions))]
        file = write_rows(Path(folder) / "heldout.jsonl", rows)
        with serving(Path(folder)) as served:
            job = served.run_job(file, args.k)
            judged = [_judged(row) for row in result_rows(served.context, job["job"], critiques=True)]
    halves = judged[: len(judged) // 2], judged[len(judged) // 2 :]
    kinds = {kind: [_moved(kind, halves[1 - i], halves[i]) for i in (0, 1)] for kind in ERROR_KINDS}
    whole = [_compare(halves[1 - i], halves[i]) for i in (0, 1)]
    harness.report("calibration_world", before, {**vars(args), "failed": job["failed"], "all": whole, "kinds": kinds})


def _judged(row: dict[str, Any]) -> Judged:
    votes = read_votes(row) if row["status"] == "ok" else []
    return row["error_kind"], votes, LabelledVotes(row["label"], tuple(map(tuple, votes))).truths()


def _moved(kind: str, fitted_to: Sequence[Judged], measured_on: Sequence[Judged]) -> dict[str, Any]:
    return _compare(
        [each for each in fitted_to if each[0] != kind], [each for each in measured_on if each[0] in (kind, _RIGHT)]
    )


def _compare(fitted_to: Sequence[Judged], measured_on: Sequence[Judged]) -> dict[str, Any]:
    calibrator = fit((votes, truths) for _, votes, truths in fitted_to)
    old, _, known = _rewards(calibrator, fitted_to)
    raw, calibrated, correct = _rewards(calibrator, measured_on)
    return {
        "steps": len(correct),
        "wrong": int((~correct).sum()),
        "raw_at_0.5": round(step_score(raw, correct, 0.5), 2),
        "raw_at_best": round(step_score(raw, correct, best_threshold(old, known)), 2),
        "calibrated_at_0.5": round(step_score(calibrated, correct, 0.5), 2),
        "calibrated_at_best": round(step_score(calibrated, correct, calibrator.threshold), 2),
        "brier": [round(float(((rewards - correct) ** 2).mean()), 4) for rewards in (raw, calibrated)],
    }


def _rewards(calibrator: Any, judged: Sequence[Judged]) -> tuple[Any, Any, Any]:
    """Rewards, calibrated rewards, and whether they are right, of the steps that have a verdict and a label."""
    steps = [
        (mean_vote(step), better, truth)
        for _, votes, truths in judged
        for step, better, truth in zip(votes, calibrator.rewards(votes), truths, strict=True)
        if truth is not None and better is not None
    ]
    raw, calibrated, correct = zip(*steps, strict=True)
    return np.array(raw, float), np.array(calibrated, float), np.array(correct, bool)


if __name__ == "__main__":
    main()
