"""Which rule behind a screen? `python -m benchmarks.cascade_fit`: fitted on a pilot, tried on others.

Pilot and held-out solutions of the arithmetic world are judged by `tiny` with 8 critiques of every step and scored by
the screen, as real jobs in the database of the environment (found again when they are there). The rule that live jobs
ask is then asked about these critiques, up to the first error, for many weights and confidences. Chosen is the cheapest
on the pilot whose F1 there is not more than `--loss` below that of all critiques; every rule is printed as it does on
the held-out ones. Each step's critiques are taken in 8 random orders. Tokens are critiques: all are about as long.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.cascade_simulated import Steps, f1_of, first_call, read_votes
from benchmarks.served import write_rows
from rprm_jobs.services.context import Context, open_context
from rprm_jobs.services.jobs.results import result_rows
from rprm_jobs.settings import load_settings
from rprm_jobs.stopping import make_rule
from training.splits import as_row, draw_split

_K, _THRESHOLD, _ORDERS = 8, 0.5, 8
_WEIGHTS = (0.5, 1.0, 1.5, 2.2, 3.0)
_CONFIDENCES = (0.8, 0.85, 0.9, 0.93, 0.95, 0.97)
Scores = list[list[float | None]]


@dataclass(frozen=True)
class Recorded:
    """Judged solutions: the votes of every step, the labels, and what the screen said of every step."""

    solutions: list[Steps]
    labels: list[int]
    screen: Scores

    @property
    def critiques(self) -> int:
        """How many all K are."""
        return sum(len(group) for steps in self.solutions for group in steps)


def main() -> None:
    """Parse, judge what is not judged yet, simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--screen", default="tiny-head", help="a judge that scores")
    parser.add_argument("--pilot", type=int, default=300)
    parser.add_argument("--solutions", type=int, default=400)
    parser.add_argument("--loss", type=float, default=0.5, help="points of F1 that may be lost on the pilot")
    parser.add_argument("--engine", default="transformers")
    args = parser.parse_args()
    before = harness.machine()
    with open_context(load_settings()) as context:
        pilot = _record(context, "benchmark", "pilot", args.pilot, args)
        held = _record(context, "held-out", "heldout", args.solutions, args)
    rules = _rules()
    fitted, tried = ({name: _row(rule, recorded) for name, rule in rules.items()} for recorded in (pilot, held))
    least = fitted["fixed"]["f1"] - args.loss
    cascades = [name for name, rule in rules.items() if rule["kind"] == "cascade" and fitted[name]["f1"] >= least]
    chosen = min(cascades, key=lambda name: fitted[name]["critiques_of_fixed"], default=None)
    sizes = {"pilot": args.pilot, "solutions": args.solutions, "k": _K, "orders": _ORDERS, "loss": args.loss}
    screens = {"pilot": _screen(pilot), "held_out": _screen(held)}
    table = {name: {"pilot": fitted[name], "held_out": tried[name]} for name in rules}
    harness.report("cascade_fit", before, {**sizes, "screen": screens, "chosen": chosen, "rules": table})


def _rules() -> dict[str, dict[str, Any]]:
    """By name: the options of a rule, with `k` where it has fewer than all."""
    rules: dict[str, dict[str, Any]] = {
        "fixed": {"kind": "fixed"},
        "exact, K=2, up to the first error": {"kind": "exact", "k": 2},
        "adaptive, up to the first error": {"kind": "adaptive"},
        # The cascade's rule without a screen's score.
        "adaptive, at least 1 critique, up to the first error": {"kind": "adaptive", "min_k": 1},
    }
    for weight, confidence in product(_WEIGHTS, _CONFIDENCES):
        name = f"cascade, weight {weight:g}, confidence {confidence:g}"
        rules[name] = {"kind": "cascade", "weight": weight, "confidence": confidence}
    return rules


def _record(context: Context, split: str, name: str, count: int, args: argparse.Namespace) -> Recorded:
    rows = [as_row(name, number, chain) for number, chain in enumerate(draw_split(split, count))]
    with tempfile.TemporaryDirectory() as folder:
        file = write_rows(Path(folder) / "in.jsonl", rows)
        votes = _job(file, "--judge", "tiny", "-k", str(_K), "--engine", args.engine)
        scores = _job(file, "--judge", args.screen, "--engine", args.engine)
    solutions, labels, _ = read_votes(context, votes)
    by_id = {row["id"]: row["rewards"] for row in result_rows(context, scores)}
    ids = [row["id"] for row in result_rows(context, votes) if row["status"] == "ok"]
    return Recorded(solutions, labels, [by_id[id_] for id_ in ids])


def _job(file: Path, *options: str) -> int:
    command = [
        sys.executable,
        "-m",
        "rprm_jobs",
        "submit",
        str(file),
        *options,
        "--wait",
        "--json",
        "--fail-on",
        "none",
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return int(json.loads(done.stdout)["job_id"])


def _row(options: Mapping[str, Any], recorded: Recorded) -> dict[str, float]:
    """Mean F1 over the orders, its standard deviation, and the critiques as a part of all."""
    options = dict(options)
    k = options.pop("k", _K)
    rule = make_rule(options, k=k, threshold=_THRESHOLD)
    weight, until = options.get("weight", 0.0), options["kind"] != "fixed"
    f1s, parts = list[float](), list[float]()
    for order in range(_ORDERS if until else 1):
        rng = random.Random(order)
        calls = [
            first_call(_shuffled(steps, rng), scores if weight else [None] * len(steps), rule, weight, until=until)
            for steps, scores in zip(recorded.solutions, recorded.screen, strict=True)
        ]
        f1s.append(f1_of(recorded.labels, calls))
        parts.append(sum(critiques for _, critiques in calls) / recorded.critiques)
    spread = statistics.stdev(f1s) if len(f1s) > 1 else 0.0
    return {
        "f1": round(statistics.mean(f1s), 2),
        "spread": round(spread, 2),
        "critiques_of_fixed": round(statistics.mean(parts), 4),
    }


def _shuffled(steps: Steps, rng: random.Random) -> Steps:
    return [rng.sample(group, len(group)) for group in steps]


def _screen(recorded: Recorded) -> dict[str, float]:
    """The screen alone: F1, and how often a right step is above a first wrong one (AUC; later steps are left out)."""
    right, wrong, calls = list[float](), list[float](), list[tuple[int, int]]()
    for scores, label in zip(recorded.screen, recorded.labels, strict=True):
        for step, value in enumerate(scores):
            if value is not None and (label < 0 or step <= label):
                (wrong if step == label else right).append(value)
        calls.append((next((i for i, v in enumerate(scores) if v is not None and v < _THRESHOLD), -1), 0))
    above = sum((a > b) + 0.5 * (a == b) for a in right for b in wrong) / (len(right) * len(wrong))
    return {"f1": f1_of(recorded.labels, calls), "auc": round(above, 4)}


if __name__ == "__main__":
    main()
