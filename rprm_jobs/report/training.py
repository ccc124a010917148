"""The curves of the run that trained a job's judge, as `rprm-jobs runs ID --plot` has them in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rprm_jobs.report.figures import BLUE, ORANGE, Figure, drawing, figure
from rprm_jobs.store.training.runs import Logged, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# By plot: its title, and the metrics in it, in the trainers' own names.
_PLOTS = {
    "loss": ("Training loss", ("loss",)),
    "logps": ("Log-probability of critiques", ("logps/chosen", "logps/rejected")),
    "margins": ("Reward margin of chosen over rejected", ("rewards/margins",)),
    "accuracies": ("Share of pairs that are ordered rightly", ("rewards/accuracies",)),
    "tokens": ("Share of tokens that are foreseen", ("mean_token_accuracy",)),
}
_COLOURS = (BLUE, ORANGE)
_Curve = tuple[str, bool, list[int], list[float]]


def draw_training(run: Run, logged: Sequence[Logged]) -> list[Figure]:
    """The plots whose metrics were logged. Raises ConfigError when matplotlib is not installed."""
    drawn = {name: (title, _curves(metrics, logged)) for name, (title, metrics) in _PLOTS.items()}
    with drawing():
        return [
            figure(f"training-{name}", title, lambda axes, curves=curves: _draw(axes, curves, run))  # type: ignore[misc]
            for name, (title, curves) in drawn.items()
            if curves
        ]


def _curves(metrics: Sequence[str], logged: Sequence[Logged]) -> list[_Curve]:
    curves = []
    for metric in metrics:
        for validation in (False, True):
            name = f"eval_{metric}" if validation else metric
            entries = [entry for entry in logged if entry.validation is validation and name in entry.metrics]
            if entries:
                curves.append((metric, validation, [e.step for e in entries], [e.metrics[name] for e in entries]))
    return curves


def _draw(axes: Axes, curves: Sequence[_Curve], run: Run) -> str:
    metrics = list(dict.fromkeys(metric for metric, _, _, _ in curves))
    for metric, validation, steps, values in curves:
        label = f"{metric}, validation" if validation else metric
        axes.plot(
            steps, values, color=_COLOURS[metrics.index(metric) % 2], label=label,
            linestyle="--" if validation else "-", marker="o" if validation or len(steps) == 1 else None, markersize=4,
        )  # fmt: skip
    axes.set_xlabel("optimiser step")
    if len(curves) > 1:
        axes.legend(frameon=False)
    last = ", ".join(
        f"{metric}{' (validation)' if validation else ''} {values[-1]:.4g}" for metric, validation, _, values in curves
    )
    return f"Run {run.id}, at the end: {last}."
