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

from rprm_jobs.errors import ConfigError
from rprm_jobs.services.evaluation.simulated_score import StepScore
from rprm_jobs.stopping import make_rule
from rprm_jobs.stopping.fit import Seen, fit_prior
from rprm_jobs.stopping.prior import PUBLISHED, PUBLISHED_STEPS, resized
from rprm_jobs.stopping.simulate import SimulatedCost, on_histogram

CONFIDENCES = (0.9, 0.95, 0.99)
CHANGED = (0.0076, 0.0025, 0.0003)
PRICES = (30.0, 120.0, 250.0)
PILOT_STEPS = 1000
_PILOTS = 10


@dataclass(frozen=True, slots=True)
class Line:
    """One rule's outcome. `fitted_to` says what a planned rule was compiled from, empty for the others.

    That is the same votes; the other half of the problems, each half in turn; or pilots of so many steps, in the mean.
    `score` is there where the votes have labels.
    """

    rule: Mapping[str, Any]
    outcome: SimulatedCost
    fitted_to: str = ""
    score: StepScore | None = None


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
                    "score": None if line.score is None else line.score.as_json(),
                }
                for line in self.lines
            ],
        }


def simulate_published(*, k: int | None = None, threshold: float = 0.5, seed: int = 0) -> Simulation:
    """On the published histogram of ten votes, in expectation. Raises ConfigError for a larger k."""
    published = len(PUBLISHED) - 1
    size = k or published
    if size > published:
        raise ConfigError(
            f"the published votes are {published} a step, and say nothing about -k {size}",
            hint=f"say -k {published} or less, or give votes of your own with --votes",
        )
    weights = resized(PUBLISHED, size)

    def run(options: Mapping[str, Any], fitted_to: str = "") -> Line:
        return Line(
            named(options), on_histogram(make_rule(options, k=size, threshold=threshold), weights, threshold), fitted_to
        )

    lines = [run(options) for options in unfitted()]
    for bound in bounds():
        lines.append(run(planned(weights, bound), "the same votes"))
        outcomes = [run(planned(fit_prior(_pilot(weights, seed + i), size), bound)).outcome for i in range(_PILOTS)]
        name = f"{_PILOTS} pilots of {PILOT_STEPS:,}"
        lines.append(Line(named(planned(weights, bound)), _mean(outcomes), name))
    return Simulation(size, threshold, PUBLISHED_STEPS, 0, tuple(lines))


def bounds() -> Iterator[dict[str, float]]:
    """What bounds a planned rule: the calls that may change, or the price of one."""
    yield from ({"changed": changed} for changed in CHANGED)
    yield from ({"price": price} for price in PRICES)


def bounds_by_context() -> Iterator[dict[str, Any]]:
    """Those of plans that tell steps apart by what came before them: a price alone."""
    yield from ({"price": price, "by_context": True} for price in PRICES)


def unfitted() -> Iterator[dict[str, Any]]:
    """The options of the rules that need no votes to be fitted to."""
    yield {"kind": "fixed"}
    yield {"kind": "exact"}
    for confidence in CONFIDENCES:
        yield {"kind": "adaptive", "confidence": confidence}


def planned(prior: Sequence[float], bound: Mapping[str, Any], wrong: Sequence[float] | None = None) -> dict[str, Any]:
    """Options of a planned rule that is fitted already."""
    return {"kind": "planned", "prior": list(prior), **bound, "wrong": wrong and list(wrong)}


def named(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a reader wants to see: without what was fitted."""
    return {name: value for name, value in options.items() if name not in ("prior", "wrong", "priors")}


def _pilot(weights: Sequence[float], seed: int) -> Seen:
    k = len(weights) - 1
    return Counter((k, yes) for yes in random.Random(seed).choices(range(k + 1), weights, k=PILOT_STEPS))


def _mean(outcomes: Sequence[SimulatedCost]) -> SimulatedCost:
    n = len(outcomes)
    return SimulatedCost(math.fsum(o.critiques for o in outcomes) / n, math.fsum(o.changed for o in outcomes) / n)
