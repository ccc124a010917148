"""The setting to try first, chosen by evidence, and what it would cost beside all K critiques of every step.

`planned` with a changed call worth 30 critiques. On recorded votes of R-PRM-7B-SFT, fitted to half of the problems and
measured on the other, it took 1.82 of 10 critiques a step, and PRMBench's score moved by -0.19 to +0.15 (95%).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rprm_jobs.stopping.prior import PUBLISHED, resized
from rprm_jobs.stopping.rule import make_rule
from rprm_jobs.stopping.simulate import on_histogram

PRICE = 30.0
OPTIONS = f"--stopping planned --price {PRICE:g}"
# The paired 95% interval of the difference in PRMBench's score, in points.
SCORE_CHANGE = (-0.19, 0.15)
_PILOT = 500
# With fewer critiques there is little to save, and of more the published votes say nothing.
_LEAST_K, _MOST_K = 6, len(PUBLISHED) - 1


@dataclass(frozen=True, slots=True)
class Proposal:
    """The setting's `options`, the critiques that it would take, as a fraction in [0, 1], and what changes."""

    options: str
    fraction: float
    score_change: tuple[float, float]


def propose(stopping: Mapping[str, Any], k: int, steps: int, threshold: float) -> Proposal | None:
    """What to try instead of all `k` critiques of each of `steps` steps; None where it is no use, or not known.

    By the votes that are published, with the job's pilot at all `k`.
    """
    if stopping.get("kind") != "fixed" or not _LEAST_K <= k <= _MOST_K or steps <= _PILOT or not 0 < threshold < 1:
        return None
    prior = resized(PUBLISHED, k)
    rule = make_rule({"kind": "planned", "price": PRICE, "prior": prior}, k=k, threshold=threshold)
    critiques = _PILOT * k + (steps - _PILOT) * on_histogram(rule, prior, threshold).critiques
    return Proposal(OPTIONS, critiques / (steps * k), SCORE_CHANGE)
