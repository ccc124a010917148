"""What a screen saves on a real judge's votes: `python -m benchmarks.cascade_votes VOTES`.

VOTES has rows of `yes_of_10` (Yes votes of ten critiques of each step) and `error_steps` (1-based), as R-PRM-7B-SFT
gave them on PRMBench. The rule that live jobs ask is asked about votes drawn from them without putting back, behind
screens that are drawn as well: the logit of a screen's score is normal with variance 1 around +m for right steps and -m
for wrong ones, and calibrated; m sets how often a right step ranks above a wrong one (AUC). So a screen errs
independently of the judge, which real ones do less. The score is PRMScore over all steps, pooled: the mean of the F1 of
right and of wrong ones. The same draws of votes and of screens serve every rule.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

from benchmarks import harness
from rprm_jobs.aggregation import Screened, step_reward
from rprm_jobs.evaluation.prmbench import Counts
from rprm_jobs.stopping import StepContext, StoppingRule, make_rule
from rprm_jobs.types import Critique, Finish, Verdict

_K, _THRESHOLD = 10, 0.5
_AUCS = (0.8, 0.9, 0.95, 0.98)
_WEIGHTS = (2.0, 2.2, 3.0)


@dataclass(frozen=True)
class Step:
    """Whether it is right, its ten votes in the order of sampling, and a standard normal draw for the screen."""

    right: bool
    critiques: tuple[Critique, ...]
    noise: float


def main() -> None:
    """Parse, draw, ask the rules, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("votes", type=Path)
    parser.add_argument("--solutions", type=int, default=400, help="drawn from the file")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    before = harness.machine()
    runs = [_steps(args.votes, args.solutions, seed) for seed in range(args.seeds)]
    fixed, adaptive = (make_rule({"kind": kind}, k=_K, threshold=_THRESHOLD) for kind in ("fixed", "adaptive"))
    table = {"fixed": _row(runs, fixed), "adaptive": _row(runs, adaptive)}
    for auc in _AUCS:
        screen = _screen(runs, auc)
        table[f"screen alone, AUC {auc}"] = _row(runs, None, screen)
        for weight in _WEIGHTS:
            rule = make_rule({"kind": "cascade", "weight": weight}, k=_K, threshold=_THRESHOLD)
            table[f"screen with AUC {auc}, weight {weight:g}"] = _row(runs, rule, screen, weight)
    size = {"solutions": args.solutions, "seeds": args.seeds, "steps": [len(steps) for steps in runs]}
    harness.report("cascade_votes", before, {**size, "ways": table})


def _steps(path: Path, count: int, seed: int) -> list[Step]:
    rng = random.Random(seed)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Step(number not in row["error_steps"], _votes(yes, rng), rng.gauss(0.0, 1.0))
        for row in rng.sample(rows, min(count, len(rows)))
        for number, yes in enumerate(row["yes_of_10"], 1)
    ]


def _votes(yes: int, rng: random.Random) -> tuple[Critique, ...]:
    votes = [1.0] * yes + [0.0] * (_K - yes)
    rng.shuffle(votes)
    return tuple(
        Critique(0, k, Verdict.YES if value else Verdict.NO, value, 0, Finish.STOP, "") for k, value in enumerate(votes)
    )


def _screen(runs: Sequence[Sequence[Step]], auc: float) -> Callable[[Step], float]:
    """The score of a calibrated screen of this AUC, rounded so that equal steps are computed once."""
    distance = NormalDist().inv_cdf(auc) / math.sqrt(2)
    steps = [step for run in runs for step in run]
    right = sum(step.right for step in steps)
    odds = math.log(right / (len(steps) - right))

    def score(step: Step) -> float:
        logit = step.noise + (distance if step.right else -distance)
        return round(1.0 / (1.0 + math.exp(-(2 * distance * logit + odds))), 3)

    return score


def _row(
    runs: Sequence[Sequence[Step]],
    rule: StoppingRule | None,
    screen: Callable[[Step], float] | None = None,
    weight: float = 0.0,
) -> dict[str, float]:
    """Mean PRMScore in percent and its standard deviation over the seeds, and critiques as a part of all ten."""
    scores, parts = list[float](), list[float]()
    for steps in runs:
        counts, spent = [[0, 0], [0, 0]], 0
        for step in steps:
            reward, taken = _judge(step, rule, None if screen is None else screen(step), weight)
            spent += taken
            counts[not step.right][reward < _THRESHOLD] += 1
        (valid_valid, valid_invalid), (invalid_valid, invalid_invalid) = counts
        scores.append(Counts(valid_valid, valid_invalid, invalid_valid, invalid_invalid).score)
        parts.append(spent / (_K * len(steps)))
    spread = statistics.stdev(scores) if len(scores) > 1 else 0.0
    return {
        "prmscore": round(statistics.mean(scores), 2),
        "spread": round(spread, 2),
        "critiques_of_fixed": round(statistics.mean(parts), 3),
    }


def _judge(step: Step, rule: StoppingRule | None, score: float | None, weight: float) -> tuple[float, int]:
    """The reward, and how many critiques the rule asks for; without a rule the screen's score is the reward."""
    if rule is None:
        return score or 0.0, 0
    taken = 0
    while (wanted := rule.more(step.critiques[:taken], StepContext(screen=score))) > 0:
        taken += wanted
    reward = step_reward(step.critiques[:taken], None if score is None else Screened(score, weight))
    if reward is None:
        raise RuntimeError("a step without a critique and without a screen has no reward")
    return reward, taken


if __name__ == "__main__":
    main()
