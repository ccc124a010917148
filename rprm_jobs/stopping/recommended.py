"""The settings to try first, chosen by evidence, and what they would cost beside all K critiques of every step.

On recorded votes of R-PRM-7B-SFT, ten of each step of PRMBench, each plan fitted to half of the problems and measured
on the other: with a changed call worth 120 critiques the score did not fall; worth 30, it takes little more than half
of the critiques and moved the score by -0.19 to +0.15, and by -0.46 to -0.07 on problems that nothing was chosen by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rprm_jobs.stopping.prior import PUBLISHED, resized
from rprm_jobs.stopping.rule import make_rule
from rprm_jobs.stopping.simulate import on_histogram


@dataclass(frozen=True, slots=True)
class Setting:
    """The `options` of a rule as they are typed, and the 95% interval of the change of PRMBench's score, in points."""

    options: str
    rule: Mapping[str, Any]
    score_change: tuple[float, float]


def _planned(price: float, low: float, high: float) -> Setting:
    return Setting(f"--stopping planned --price {price:g}", {"kind": "planned", "price": price}, (low, high))


RECOMMENDED = _planned(120, 0.0, 0.11)
CHEAPER = _planned(30, -0.46, 0.15)
# Where a pilot would be a good part of the job.
OF_FEW_STEPS = Setting("--stopping adaptive", {"kind": "adaptive"}, (-0.17, -0.09))
FEW_STEPS = 2_000
_PILOT = 500
# With fewer critiques there is little to save, and of more the published votes say nothing.
_LEAST_K, _MOST_K = 6, len(PUBLISHED) - 1


@dataclass(frozen=True, slots=True)
class Proposal:
    """A setting's `options`, the critiques that it would take, as a fraction in [0, 1], and how far the score moved."""

    options: str
    fraction: float
    score_change: tuple[float, float]


def propose(stopping: Mapping[str, Any], k: int, steps: int, threshold: float) -> list[Proposal]:
    """What to try instead of all `k` critiques of each of `steps` steps, the recommended one first.

    By the votes that are published; empty where it is no use, or not known.
    """
    if stopping.get("kind") != "fixed" or not _LEAST_K <= k <= _MOST_K or not 0 < threshold < 1:
        return []
    settings = [OF_FEW_STEPS] if steps < FEW_STEPS else [RECOMMENDED, CHEAPER]
    return [
        Proposal(setting.options, _fraction(setting, k, steps, threshold), setting.score_change) for setting in settings
    ]


def _fraction(setting: Setting, k: int, steps: int, threshold: float) -> float:
    prior = resized(PUBLISHED, k)
    planned = setting.rule["kind"] == "planned"
    rule = make_rule({**setting.rule, "prior": prior} if planned else setting.rule, k=k, threshold=threshold)
    critiques = on_histogram(rule, prior, threshold).critiques
    pilot = min(_PILOT, steps) if planned else 0
    return (pilot * k + (steps - pilot) * critiques) / (steps * k)
