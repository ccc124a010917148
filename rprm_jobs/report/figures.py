"""The plots of a report, each as SVG text. A plot that cannot be drawn is replaced by the reason.

The colours are those of Okabe and Ito, which readers with any colour vision can tell apart.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rprm_jobs.errors import ConfigError, InputError
from rprm_jobs.evaluation.curves import (
    Calibration,
    LabelledVotes,
    accuracy_by_position,
    calibration,
    f1_by_k,
    f1_by_threshold,
)
from rprm_jobs.services.evaluation.report import ReportSample

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
_SIZE = (5.2, 3.3)
_THRESHOLDS = [i / 40 for i in range(1, 40)]


@dataclass(frozen=True, slots=True)
class Figure:
    """One plot. If it cannot be drawn, `svg` is None and `caption` says why."""

    name: str
    title: str
    svg: str | None
    caption: str


def draw_all(sample: Sequence[ReportSample], threshold: float) -> list[Figure]:
    """All plots of the sample. Raises ConfigError when matplotlib is not installed."""
    ok = [row for row in sample if row.status == "ok"]
    known = [row.known for row in ok if row.known is not None]
    better = [row.known_calibrated for row in ok if row.known_calibrated is not None]
    judged = [row.known for row in ok if row.known is not None and row.label is not None]
    whole = [row for row in judged if all(row.votes)]
    with drawing():
        return [
            figure("f1-by-k", "F1 against critiques a step", lambda axes: _f1_by_k(axes, whole, judged, threshold)),
            figure("f1-by-threshold", "F1 against threshold", lambda axes: _by_threshold(axes, judged, threshold)),
            figure("calibration", "Reliability of the reward", lambda axes: _calibration(axes, known, better)),
            figure("position", "Accuracy against position", lambda axes: _position(axes, known, threshold)),
            figure("rewards", "Rewards", lambda axes: _rewards(axes, sample, threshold)),
            figure("votes", "Agreement of a step's critiques", lambda axes: _votes(axes, sample)),
        ]


@contextmanager
def drawing() -> Iterator[None]:
    """How plots look. Raises ConfigError when matplotlib is not installed."""
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise ConfigError(
            "the report needs matplotlib, which is not installed", hint="pip install 'rprm-jobs[report]'"
        ) from error
    # Text stays text, so that it can be searched and has the page's font. The salt makes ids reproducible.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "rprm-jobs", "font.size": 9}):
        yield


def figure(name: str, title: str, draw: Callable[[Axes], str]) -> Figure:
    """Draw one plot; `draw` fills the axes and returns the caption, or raises InputError with why it cannot."""
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=_SIZE, layout="constrained")
    axes = canvas.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, alpha=0.25)
    axes.set_axisbelow(True)
    try:
        caption = draw(axes)
    except InputError as error:
        return Figure(name, title, None, f"Not drawn: {error.what}.")
    out = io.StringIO()
    canvas.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Title": title})
    text = out.getvalue()
    return Figure(name, title, text[text.index("<svg") :], caption)


def _f1_by_k(axes: Axes, whole: Sequence[LabelledVotes], judged: Sequence[LabelledVotes], threshold: float) -> str:
    if len(whole) < len(judged):
        raise InputError("some steps were not judged, and with fewer critiques they may matter")
    fewest = min((len(step) for row in whole for step in row.votes), default=0)
    ks = sorted({k for k in (1, 2, 3, 4, 6, 8, 10, 16, 32, 64) if k <= fewest} | ({fewest} if fewest else set()))
    points = f1_by_k(whole, ks, threshold)
    axes.fill_between(ks, [p.low for p in points], [p.high for p in points], color=BLUE, alpha=0.2, linewidth=0)
    axes.plot(ks, [p.f1 for p in points], color=BLUE, marker="o")
    axes.set(xlabel="critiques a step (K)", ylabel="F1, %")
    axes.set_xscale("log", base=2)
    axes.set_xticks(ks, [str(k) for k in ks])
    return (
        f"First K of the stored critiques in 100 random orders: mean and the middle 95%. F1 {points[-1].f1:.1f} at"
        f" K={ks[-1]}, over {len(whole):,} solutions."
    )


def _by_threshold(axes: Axes, judged: Sequence[LabelledVotes], threshold: float) -> str:
    points = f1_by_threshold(judged, _THRESHOLDS)
    axes.plot([p.at for p in points], [p.f1 for p in points], color=BLUE)
    axes.axvline(threshold, color=ORANGE, linestyle="--", label=f"the job's, {threshold:g}")
    axes.set(xlabel="threshold", ylabel="F1, %", xlim=(0, 1))
    axes.legend(frameon=False)
    best = max(points, key=lambda p: p.f1)
    return f"Highest at {best.at:g}: F1 {best.f1:.1f}. A threshold that is chosen on these labels flatters itself."


def _calibration(axes: Axes, judged: Sequence[LabelledVotes], better: Sequence[LabelledVotes]) -> str:
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="perfect")
    caption = _reliability(axes, calibration(judged), BLUE, "reward")
    if better:
        caption += " Calibrated: " + _reliability(axes, calibration(better), ORANGE, "calibrated")
    axes.set(xlabel="reward", ylabel="share of such steps that are right", xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False)
    return f"{caption} The area of a dot is its number of steps."


def _reliability(axes: Axes, curve: Calibration, colour: str, label: str) -> str:
    most = max(row.n for row in curve.bins)
    rewards, right = [row.reward for row in curve.bins], [row.right for row in curve.bins]
    axes.scatter(rewards, right, s=[20 + 180 * row.n / most for row in curve.bins], color=colour, alpha=0.8)
    axes.plot(rewards, right, color=colour, alpha=0.4, label=label)
    return f"Expected calibration error {curve.error:.3f}, Brier score {curve.brier:.3f}."


def _position(axes: Axes, judged: Sequence[LabelledVotes], threshold: float) -> str:
    from matplotlib.ticker import MaxNLocator

    points = accuracy_by_position(judged, threshold)
    places = [point.position + 1 for point in points]
    axes.bar(places, [100 * point.accuracy for point in points], color=BLUE, width=0.7)
    for place, point in zip(places, points, strict=True):
        axes.annotate(f"{point.n:,}", (place, 2), ha="center", fontsize=7, color="white", rotation=90)
    axes.set(xlabel="step", ylabel="calls that are right, %", ylim=(0, 100))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return (
        "Of the steps whose truth is known: those up to the first error, or as the step labels tell. In the bars: their"
        " number."
    )


def _rewards(axes: Axes, sample: Sequence[ReportSample], threshold: float) -> str:
    bins = [i / 20 for i in range(21)]
    groups: dict[str, list[float]] = {"right": [], "wrong": [], "without a label": []}
    for row in sample:
        truths = row.known.truths() if row.known is not None else [None] * len(row.rewards)
        for reward, truth in zip(row.rewards, truths, strict=True):
            if reward is not None:
                groups["without a label" if truth is None else "right" if truth else "wrong"].append(reward)
    if not any(groups.values()):
        raise InputError("no step has a reward")
    colours = [BLUE, ORANGE, GREY]
    axes.hist(list(groups.values()), bins=bins, label=list(groups), color=colours, stacked=True)
    axes.axvline(threshold, color=GREY, linestyle="--")
    axes.set(xlabel="reward (mean P(Yes))", ylabel="steps", xlim=(0, 1))
    axes.legend(frameon=False)
    return ", ".join(f"{len(rewards):,} {name}" for name, rewards in groups.items() if rewards) + "."


def _votes(axes: Axes, sample: Sequence[ReportSample]) -> str:
    votes = [[share for share in step if share is not None] for row in sample for step in row.votes]
    steps = [step for step in votes if step]
    if not steps:
        raise InputError("no critique has a verdict")
    agreement = [max(yes, len(step) - yes) / len(step) for step in steps for yes in [sum(s >= 0.5 for s in step)]]
    axes.hist(agreement, bins=[0.5 + i / 20 for i in range(11)], color=GREEN)
    axes.set(xlabel="share of critiques on the larger side", ylabel="steps", xlim=(0.5, 1))
    unanimous = sum(part == 1 for part in agreement)
    return (
        f"{unanimous / len(steps):.0%} of {len(steps):,} steps are unanimous: most of their critiques were redundant."
    )
