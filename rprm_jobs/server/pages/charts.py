"""Curves of a training run and histograms as shapes of an SVG, drawn without a library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rprm_jobs.store.training.runs import Logged

WIDTH, HEIGHT = 640, 220
_MOST_POINTS = 600


@dataclass(frozen=True, slots=True)
class Line:
    """One line: `points` as SVG has them, and its last value."""

    name: str
    points: str
    last: float


@dataclass(frozen=True, slots=True)
class Curve:
    """A metric over the steps of a run, of training and of the validation split."""

    name: str
    lines: tuple[Line, ...]
    low: float
    high: float
    steps: int


def curve(logged: Sequence[Logged], name: str) -> Curve | None:
    """The metric's curve; None where it was never logged. Values that are no numbers are left out."""
    series = {
        "training": _values([entry for entry in logged if not entry.validation], name),
        "validation": _values([entry for entry in logged if entry.validation], f"eval_{name}"),
    }
    values = [value for points in series.values() for _, value in points]
    if not values:
        return None
    low, high = min(0.0, *values), max(values)
    steps = max(step for points in series.values() for step, _ in points)
    lines = tuple(
        Line(kind, _points(points, low, high, steps), points[-1][1]) for kind, points in series.items() if points
    )
    return Curve(name, lines, low, high, steps)


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a histogram: where it stands, and how high it is, in an SVG of WIDTH by HEIGHT."""

    x: float
    y: float
    width: float
    height: float
    count: int


def histogram(counts: Sequence[int]) -> list[Bar]:
    """A bar for each count, the highest as high as the drawing."""
    width, most = WIDTH / len(counts), max(1, *counts)
    return [
        Bar(n * width + 2, HEIGHT - HEIGHT * count / most, width - 4, HEIGHT * count / most, count)
        for n, count in enumerate(counts)
    ]


def _values(logged: Sequence[Logged], name: str) -> list[tuple[int, float]]:
    points = [(entry.step, float(entry.metrics[name])) for entry in logged if name in entry.metrics]
    finite = [(step, value) for step, value in points if math.isfinite(value)]
    return finite[:: max(1, len(finite) // _MOST_POINTS)]


def _points(points: Sequence[tuple[int, float]], low: float, high: float, steps: int) -> str:
    span = (high - low) or 1.0
    return " ".join(
        f"{WIDTH * step / max(1, steps):.1f},{HEIGHT - HEIGHT * (value - low) / span:.1f}" for step, value in points
    )
