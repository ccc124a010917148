"""How evaluations are shown: a table or JSON on stdout, and on stderr what a reader must know of the numbers."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rprm_jobs.cli.shared.common import print_json, say

if TYPE_CHECKING:
    from rich.table import Table

    from rprm_jobs.evaluation import best_of_n, prmbench, processbench_report
    from rprm_jobs.services.evaluation.rollouts import Rollouts


_WIDTH = 120


def show_processbench(report: processbench_report.ProcessBenchReport, *, as_json: bool) -> None:
    """Accuracies and F1 of each subset with their 95% intervals, and the mean F1."""
    for subset, one in report.subsets.items():
        if one.notes:
            say(f"{subset}: {one.notes}")
    if report.without_prediction:
        say(f"misses without a prediction: {_by_reason(report.without_prediction_by_reason)}")
    if report.missing:
        say(f"missing: {_by_reason(report.missing_by_reason)}")
        say("an incomplete subset has no F1; --allow-incomplete counts what is missing as misses")
    if as_json:
        print_json(report.as_json())
        return
    table = new_table(
        "subset", "error", "correct", "error acc", "correct acc", "F1", "95% interval", "no prediction", "missing"
    )
    for subset, one in report.subsets.items():
        row = (one.n_error, one.n_correct, _percent(one.error_acc), _percent(one.correct_acc), _percent(one.f1, 3))
        table.add_row(subset, *map(str, row), _interval(one.f1_interval), str(one.without_prediction), str(one.missing))
    mean = _percent(report.average_f1, 3), _interval(report.average_f1_interval)
    table.add_row("mean", "", "", "", "", *mean, str(report.without_prediction), str(report.missing))
    print_table(table)


def show_prmbench(report: prmbench.PrmbenchReport, *, as_json: bool) -> None:
    """Scores of the classes under their dimensions, overall, and the controls."""
    from rprm_jobs.evaluation.prmbench_rows import DIMENSIONS

    counts = {
        "items lack the score of a step and are left out": report.missing,
        "items have results that are marked as invalid and are left out": report.invalid,
        "items have labels of their first steps alone, which count": report.short,
        "controls lack the score of a step and are left out": report.controls.missing,
        "controls have results that are marked as invalid and are left out": report.controls.invalid,
        "rows repeat a key, the first counts": report.repeated,
        "items name wrong steps that they do not have": report.out_of_range,
    }
    for what, count in counts.items():
        if count:
            say(f"{count:,} {what}")
    if report.absent:
        say(f"without {', '.join(report.absent)}: overall and their dimensions are over the other classes")
    if as_json:
        print_json(report.as_json())
        return
    table = new_table("dimension", "class", "score", left=("class",))
    for dimension, names in DIMENSIONS.items():
        table.add_row(dimension, "", _percent(report.dimensions[dimension]))
        for name in names:
            table.add_row("", name, _percent(report.classes.get(name)))
    table.add_row("overall", f"{report.n_items:,} items, {report.n_steps:,} steps", _percent(report.overall))
    controls = report.controls
    table.add_row("controls", f"{controls.n_items:,} items, steps called valid", _percent(controls.accuracy))
    print_table(table)


def show_compared(read: Rollouts) -> None:
    """What became of the responses of a rollout job, where that is not plain."""
    said = {
        "problems_left_out": "problems lack a response and are left out (failed, or not written yet)",
        "cut": "responses were cut by the token limit, and state no answer",
        "unparsed": "answers are no expression, and count as wrong",
        "undecided": "answers took too long to compare, and count as wrong",
    }
    for name, what in said.items():
        if read.counts[name]:
            say(f"{read.counts[name]:,} {what}")


def show_best_of_n(report: best_of_n.BestOfNReport, *, as_json: bool, more: Mapping[str, int] | None = None) -> None:
    """How often each way to pick is right, by N. `more` goes into the JSON."""
    if report.without_answer:
        say(f"{report.without_answer:,} responses state no final answer and cast no vote")
    if report.n_judged == 0:
        say("no problem has rewards: --judge NAME has its responses judged, --job JOB names where that was done")
    elif report.n_judged < report.n_problems:
        say(
            f"{report.without_reward:,} responses lack rewards: what needs them is over {report.n_judged:,} of"
            f" {report.n_problems:,} problems"
        )
    if as_json:
        print_json({**report.as_json(), **(more or {})})
        return
    ns = list(report.pass_at)
    table = new_table("pick", *(f"N={n}" for n in ns))
    rows = {"pass@N": report.pass_at, "majority": report.majority}
    rows |= {f"best by {name}": by_n for name, by_n in (report.best_of or {}).items()}
    rows |= {f"majority weighted by {name}": by_n for name, by_n in (report.weighted_majority or {}).items()}
    for name, by_n in rows.items():
        table.add_row(name, *(f"{by_n[n]:.3f}" if n in by_n else "-" for n in ns))
    print_table(table)


def _by_reason(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in counts.items())


def _percent(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _interval(ends: tuple[float, float] | None) -> str:
    return "-" if ends is None else f"{ends[0]:.1f} to {ends[1]:.1f}"


def new_table(first: str, *names: str, left: tuple[str, ...] = ()) -> Table:
    """A plain table, numbers to the right; `left` columns, and the first, hold text."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 1))
    for name in (first, *names):
        table.add_column(name, justify="left" if name in (first, *left) else "right", no_wrap=True)
    return table


def fitting_table(names: Sequence[str], rows: Sequence[Sequence[str]], *, shrinking: Sequence[str]) -> Table:
    """A table of texts in which only the `shrinking` columns are cut where the terminal is too narrow."""
    from rich.table import Table

    table = Table(box=None)
    for place, name in enumerate(names):
        longest = max(len(cells[place]) for cells in (names, *rows))
        table.add_column(name, no_wrap=True, min_width=None if name in shrinking else longest)
    for row in rows:
        table.add_row(*row)
    return table


def print_table(table: Table) -> None:
    """On stdout; what is no terminal is wide enough. Names may hold square brackets, which are no markup."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else _WIDTH, markup=False).print(table)
