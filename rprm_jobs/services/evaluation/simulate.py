"""Comparing stopping rules on votes that are there: the published histogram, or what jobs have recorded.

`planned` is fitted to votes. Measured on the same votes it is the optimum of hindsight; the rows
that count for practice are fitted to other steps: pilots drawn from the histogram, or the other half of the solutions.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rprm_jobs.errors import InputError
from rprm_jobs.services.evaluation.benchmark_rows import BadRows, parse_rows
from rprm_jobs.settings import Limits
from rprm_jobs.stopping import StoppingRule, make_rule
from rprm_jobs.stopping.prior import PUBLISHED, PUBLISHED_STEPS, Seen, fit_prior, fit_wrong, resized, whole_votes
from rprm_jobs.stopping.recorded import Votes, read_votes
from rprm_jobs.stopping.simulate import SimulatedCost, on_histogram, on_votes

CONFIDENCES = (0.9, 0.95, 0.99)
CHANGED = (0.0076, 0.0025, 0.0003)
PILOT_STEPS = 1000
_PILOTS = 10
_ORDERS = 10

Solutions = Sequence[Sequence[Votes]]


@dataclass(frozen=True, slots=True)
class Line:
    """One rule's outcome. `fitted_to` says what a planned rule was compiled from, empty for the others.

    That is the same votes; the other half of the solutions, each half in turn; or pilots of so many steps, in the mean.
    """

    rule: Mapping[str, Any]
    outcome: SimulatedCost
    fitted_to: str = ""


@dataclass(frozen=True, slots=True)
class Simulation:
    """Every rule on the same `steps` steps of `k` votes each; `left_out` steps have fewer and could not be used."""

    k: int
    threshold: float
    steps: int
    left_out: int
    lines: tuple[Line, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON types; calls and solutions that changed are in percent."""
        return {
            "k": self.k,
            "threshold": self.threshold,
            "steps": self.steps,
            "left_out": self.left_out,
            "rules": [
                {
                    "rule": line.rule["kind"],
                    **{name: value for name, value in line.rule.items() if name != "kind"},
                    "fitted_to": line.fitted_to or None,
                    "critiques": line.outcome.critiques,
                    "changed_percent": 100 * line.outcome.changed,
                    "changed_solutions_percent": None
                    if line.outcome.changed_solutions is None
                    else 100 * line.outcome.changed_solutions,
                }
                for line in self.lines
            ],
        }


def simulate_published(*, k: int | None = None, threshold: float = 0.5, seed: int = 0) -> Simulation:
    """On the published histogram of ten votes, in expectation. Raises ConfigError for a larger k."""
    size = k or len(PUBLISHED) - 1
    weights = resized(PUBLISHED, size)

    def run(options: Mapping[str, Any], fitted_to: str = "") -> Line:
        return Line(_named(options), on_histogram(_rule(options, size, threshold), weights, threshold), fitted_to)

    lines = [run(options) for options in _unfitted()]
    for changed in CHANGED:
        lines.append(run(_planned(weights, changed), "the same votes"))
        outcomes = [run(_planned(fit_prior(_pilot(weights, seed + i), size), changed)).outcome for i in range(_PILOTS)]
        name = f"{_PILOTS} pilots of {PILOT_STEPS:,}"
        lines.append(Line(_named(_planned(weights, changed)), _mean(outcomes), name))
    return Simulation(size, threshold, PUBLISHED_STEPS, 0, tuple(lines))


def simulate_recorded(
    path: str, limits: Limits, *, k: int | None = None, threshold: float = 0.5, seed: int = 0
) -> Simulation:
    """On recorded votes, each step's in several random orders. Raises InputError for rows that hold none."""
    solutions, size, left_out = _read_votes(path, limits, k)
    halves = _halves(solutions, seed)

    def run(options: Mapping[str, Any], on: Solutions) -> SimulatedCost:
        return on_votes(_rule(options, size, threshold), on, threshold, orders=_ORDERS, seed=seed)

    def fit(to: Solutions, changed: float) -> dict[str, Any]:
        return _planned(fit_prior(_seen(to), size), changed, fit_wrong(_sums(to, size), size, threshold))

    lines = [Line(_named(options), run(options, solutions)) for options in _unfitted()]
    for changed in CHANGED:
        own = fit(solutions, changed)
        lines.append(Line(_named(own), run(own, solutions), "the same votes"))
        if halves is None:
            continue
        crossed = [(run(fit(other, changed), half), half) for half, other in (halves, halves[::-1])]
        lines.append(Line(_named(own), _pooled(crossed), "the other half"))
    return Simulation(size, threshold, sum(map(len, solutions)), left_out, tuple(lines))


def _rule(options: Mapping[str, Any], k: int, threshold: float) -> StoppingRule:
    return make_rule(options, k=k, threshold=threshold)


def _unfitted() -> Iterator[dict[str, Any]]:
    yield {"kind": "fixed"}
    yield {"kind": "exact"}
    for confidence in CONFIDENCES:
        yield {"kind": "adaptive", "confidence": confidence}


def _planned(prior: Sequence[float], changed: float, wrong: Sequence[float] | None = None) -> dict[str, Any]:
    return {"kind": "planned", "prior": list(prior), "changed": changed, "wrong": wrong and list(wrong)}


def _named(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in ("prior", "wrong")}


def _pilot(weights: Sequence[float], seed: int) -> Seen:
    k = len(weights) - 1
    return Counter((k, yes) for yes in random.Random(seed).choices(range(k + 1), weights, k=PILOT_STEPS))


def _mean(outcomes: Sequence[SimulatedCost]) -> SimulatedCost:
    n = len(outcomes)
    return SimulatedCost(math.fsum(o.critiques for o in outcomes) / n, math.fsum(o.changed for o in outcomes) / n)


def _read_votes(path: str, limits: Limits, k: int | None) -> tuple[Solutions, int, int]:
    """The solutions' steps cut to `k` critiques (default: the most that a step has), k, and the steps left out."""
    bad = BadRows()
    rows = [steps for _, steps in parse_rows([path], limits, read_votes, bad)]
    bad.check("write the votes with: rprm-jobs results JOB --critiques -o votes.jsonl")
    size = k or max((len(step) for steps in rows for step in steps), default=0)
    solutions = [[step[:size] for step in steps if size and len(step) >= size] for steps in rows]
    kept = [steps for steps in solutions if steps]
    if not kept:
        raise InputError(f"no step has {size or 'any'} critiques", where=path, hint="choose a smaller -k")
    return kept, size, sum(map(len, rows)) - sum(map(len, kept))


def _halves(solutions: Solutions, seed: int) -> tuple[Solutions, Solutions] | None:
    """Two random halves, None of a single solution. Whole solutions, since the steps of one are alike."""
    order = random.Random(seed).sample(range(len(solutions)), len(solutions))
    middle = len(order) // 2
    return ([solutions[i] for i in order[:middle]], [solutions[i] for i in order[middle:]]) if middle else None


def _seen(solutions: Solutions) -> Seen:
    parsed = [[vote for vote in step if vote is not None] for steps in solutions for step in steps]
    return Counter((len(votes), whole_votes(math.fsum(votes))) for votes in parsed)


def _sums(solutions: Solutions, k: int) -> Iterator[float]:
    """The sums of the steps of which every critique was parsed."""
    for steps in solutions:
        for step in steps:
            parsed = [vote for vote in step if vote is not None]
            if len(parsed) == k:
                yield math.fsum(parsed)


def _pooled(parts: Sequence[tuple[SimulatedCost, Solutions]]) -> SimulatedCost:
    steps = [sum(map(len, solutions)) for _, solutions in parts]
    wholes = [len(solutions) for _, solutions in parts]

    def mean(values: Sequence[float], weights: Sequence[int]) -> float:
        return math.fsum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)

    return SimulatedCost(
        mean([outcome.critiques for outcome, _ in parts], steps),
        mean([outcome.changed for outcome, _ in parts], steps),
        mean([outcome.changed_solutions or 0.0 for outcome, _ in parts], wholes),
    )
