"""How good must a screen be? `python -m benchmarks.cascade_simulated`: the cascade's rule on recorded critiques.

Held-out solutions of the arithmetic world are judged by `tiny` with 8 critiques of every step, as a real job in the
database of the environment (found again when it is there). Then the rule that live jobs ask is asked about these
critiques, up to the first error, behind screens that are drawn: the logit of a screen's score is normal with variance 1
around +m for right steps and -m for wrong ones, and calibrated; m sets how often a right step ranks above a wrong one
(AUC). Every screen is drawn anew for each of the seeds. Steps after the labelled first error count as right: what
follows goes on correctly from it.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

from benchmarks import harness
from benchmarks.served import write_rows
from rprm_jobs.aggregation import Screened, step_reward
from rprm_jobs.evaluation.processbench import score
from rprm_jobs.services.context import Context, open_context
from rprm_jobs.services.jobs.query import job_status
from rprm_jobs.services.jobs.results import result_rows
from rprm_jobs.settings import load_settings
from rprm_jobs.stopping import StepContext, StoppingRule, make_rule
from rprm_jobs.types import Critique, Finish, Verdict
from training.splits import as_row, draw_split

_K, _THRESHOLD = 8, 0.5
_AUCS = (0.9, 0.97, 0.99, 0.997)
_WEIGHTS = (2.0, 2.2, 3.0)
_SEEDS = 20
Steps = list[list[Critique]]


def main() -> None:
    """Parse, judge what is not judged yet, simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--solutions", type=int, default=400)
    parser.add_argument("--engine", default="transformers")
    parser.add_argument("--job", type=int, help="a job over these solutions that is there already, whole or not")
    args = parser.parse_args()
    before = harness.machine()
    with open_context(load_settings()) as context:
        job = args.job or _judge(args.solutions, args.engine)
        solutions, labels, tokens = read_votes(context, job)
    every = make_rule({"kind": "fixed"}, k=_K, threshold=_THRESHOLD)
    fixed = [first_call(steps, [None] * len(steps), every, 0.0, until=False) for steps in solutions]
    spent = sum(critiques for _, critiques in fixed)
    table: dict[str, Any] = {"fixed": {"f1": f1_of(labels, fixed), "tokens_of_fixed": 1.0}}
    adaptive = make_rule({"kind": "adaptive"}, k=_K, threshold=_THRESHOLD)
    table["adaptive, up to the first error"] = _row(
        labels, [[first_call(steps, [None] * len(steps), adaptive, 0.0) for steps in solutions]], spent
    )
    for auc in _AUCS:
        screens = [_draw(labels, solutions, auc, seed) for seed in range(_SEEDS)]
        table[f"screen alone, AUC {auc}"] = _row(
            labels, [[(_first_below(scores), 0) for scores in drawn] for drawn in screens], spent
        )
        for weight in _WEIGHTS:
            rule = make_rule({"kind": "cascade", "weight": weight}, k=_K, threshold=_THRESHOLD)
            runs = [
                [first_call(steps, scores, rule, weight) for steps, scores in zip(solutions, drawn, strict=True)]
                for drawn in screens
            ]
            table[f"screen with AUC {auc}, weight {weight:g}"] = _row(labels, runs, spent)
    size = {"solutions": len(labels), "k": _K, "seeds": _SEEDS, "tokens_per_solution": round(tokens, 1)}
    harness.report("cascade_simulated", before, {**size, "ways": table})


def _judge(count: int, engine: str) -> int:
    rows = [as_row("heldout", number, chain) for number, chain in enumerate(draw_split("held-out", count))]
    with tempfile.TemporaryDirectory() as folder:
        file = write_rows(Path(folder) / "heldout.jsonl", rows)
        command = [sys.executable, "-m", "rprm_jobs", "submit", str(file), "--judge", "tiny", "-k", str(_K)]
        command += ["--wait", "--json", "--engine", engine]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return int(json.loads(done.stdout)["job_id"])


def read_votes(context: Context, job: int) -> tuple[list[Steps], list[int], float]:
    """The critiques of every solution that has an outcome, the labels, and the tokens a solution."""
    solutions, labels = list[Steps](), list[int]()
    for row in result_rows(context, job, critiques=True):
        if row["status"] == "ok":
            labels.append(row["label"])
            solutions.append([[_critique(critique) for critique in group] for group in row["critiques"]])
    progress = job_status(context, job).outcomes
    return solutions, labels, progress.tokens / progress.solutions


def _critique(row: dict[str, Any]) -> Critique:
    return Critique(0, row["k"], Verdict(row["verdict"]), row["p_yes"], 0, Finish.STOP, "")


def first_call(
    steps: Steps, scores: Sequence[float | None], rule: StoppingRule, weight: float, *, until: bool = True
) -> tuple[int, int]:
    """The first step called wrong (-1: none), and how many critiques the rule asks for until it is known."""
    first, spent = -1, 0
    for step, (group, score_) in enumerate(zip(steps, scores, strict=True)):
        taken = 0
        while (wanted := rule.more(group[:taken], StepContext(step, screen=score_))) > 0:
            taken += wanted
        spent += taken
        reward = step_reward(group[:taken], None if score_ is None or not weight else Screened(score_, weight))
        if first < 0 and (reward is None or reward < _THRESHOLD):
            first = step
            if until:
                break
    return first, spent


def _draw(labels: Sequence[int], solutions: Sequence[Steps], auc: float, seed: int) -> list[list[float | None]]:
    """A calibrated score for every step by a screen of this AUC."""
    rng = random.Random(f"{auc}/{seed}")
    distance = NormalDist().inv_cdf(auc) / math.sqrt(2)
    steps = sum(map(len, solutions))
    wrong = sum(label >= 0 for label in labels)
    odds = math.log((steps - wrong) / wrong)

    def scored(right: bool) -> float:
        logit = rng.gauss(distance if right else -distance, 1.0)
        return 1.0 / (1.0 + math.exp(-(2 * distance * logit + odds)))

    return [
        [scored(step != label) for step in range(len(group))] for label, group in zip(labels, solutions, strict=True)
    ]


def _first_below(scores: Sequence[float | None]) -> int:
    return next((step for step, value in enumerate(scores) if value is not None and value < _THRESHOLD), -1)


def f1_of(labels: Sequence[int], calls: Sequence[tuple[int, int]]) -> float:
    return round(score(labels, [first for first, _ in calls]).f1, 2)


def _row(labels: Sequence[int], runs: Sequence[Sequence[tuple[int, int]]], spent: int) -> dict[str, float]:
    """Mean F1 over the draws, its standard deviation, and the critiques as a part of those of the fixed K."""
    f1s = [f1_of(labels, run) for run in runs]
    part = statistics.mean(sum(critiques for _, critiques in run) / spent for run in runs)
    return {
        "f1": round(statistics.mean(f1s), 2),
        "spread": round(statistics.stdev(f1s), 2) if len(f1s) > 1 else 0.0,
        "tokens_of_fixed": round(part, 3),
    }


if __name__ == "__main__":
    main()
