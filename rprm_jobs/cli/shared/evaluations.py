"""How evaluations are shown: a table or JSON on stdout, and on stderr what a reader must know about the numbers.

Also what is checked before there is anything to show.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rprm_jobs.cli.shared.common import print_json, say
from rprm_jobs.cli.shared.tables import Table, print_table
from rprm_jobs.errors import ConfigError
from rprm_jobs.words import counted

if TYPE_CHECKING:
    from rprm_jobs.evaluation import best_of_n, prmbench, processbench_report
    from rprm_jobs.evaluation.curves import Bin
    from rprm_jobs.services.evaluation.calibrated_jobs import CalibratedReport
    from rprm_jobs.services.evaluation.rollouts import Rollouts


def show_processbench(
    report: processbench_report.ProcessBenchReport, *, as_json: bool, calibrated: CalibratedReport | None = None
) -> None:
    """Accuracies and F1 of each subset with their 95% intervals, and the mean F1; the same by calibrated rewards."""
    for subset, score in report.subsets.items():
        if score.notes:
            say(f"{subset}: {score.notes}")
    if report.without_prediction:
        say(f"misses without a prediction: {_by_reason(report.without_prediction_by_reason)}")
    if report.missing:
        say(f"missing: {_by_reason(report.missing_by_reason)}")
        say("an incomplete subset has no F1; --allow-incomplete counts what is missing as misses")
    if as_json:
        print_json(_json(report, calibrated))
        return
    print_table(_processbench(report))
    if calibrated is not None:
        _show_calibrated(calibrated, _processbench(calibrated.report))


def _processbench(report: Any) -> Table:
    table = Table(
        ("subset", "error", "correct", "error acc", "correct acc", "F1", "95% interval", "no prediction", "missing")
    )
    for subset, score in report.subsets.items():
        accuracies = _percent(score.error_acc), _percent(score.correct_acc), _percent(score.f1, 3)
        counts = str(score.without_prediction), str(score.missing)
        row = (str(score.n_error), str(score.n_correct), *accuracies, _interval(score.f1_interval), *counts)
        table.add_row(subset, *row)
    mean = _percent(report.average_f1, 3), _interval(report.average_f1_interval)
    table.add_row("mean", "", "", "", "", *mean, str(report.without_prediction), str(report.missing))
    return table


def show_prmbench(
    report: prmbench.PrmbenchReport, *, as_json: bool, calibrated: CalibratedReport | None = None
) -> None:
    """Scores of the classes under their dimensions, overall, and the controls; the same by calibrated rewards."""
    counts = {
        "items are left out: a step of theirs has no score": report.missing,
        "items are left out: their results are marked as invalid": report.invalid,
        "items have labels of their first steps only, which count": report.short,
        "controls are left out: a step of theirs has no score": report.controls.missing,
        "controls are left out: their results are marked as invalid": report.controls.invalid,
        "rows repeat a key; the first one counts": report.repeated,
        "results are of classes without a file here, and are left out": report.unnamed,
        "items name wrong steps beyond their last step": report.out_of_range,
    }
    for what, count in counts.items():
        if count:
            say(f"{count:,} {what}")
    if report.absent:
        say(f"no items of {', '.join(report.absent)}: overall and their dimensions are over the rest")
    if as_json:
        print_json(_json(report, calibrated))
        return
    print_table(_prmbench(report))
    if calibrated is not None:
        _show_calibrated(calibrated, _prmbench(calibrated.report))


def _prmbench(report: Any) -> Table:
    from rprm_jobs.evaluation.prmbench_rows import DIMENSIONS

    table = Table(("dimension", "class", "score"), left=("class",))
    for dimension, names in DIMENSIONS.items():
        table.add_row(dimension, "", _percent(report.dimensions[dimension]))
        for name in names:
            table.add_row("", name, _percent(report.classes.get(name)))
    table.add_row(
        "overall", f"{counted(report.n_items, 'item')}, {counted(report.n_steps, 'step')}", _percent(report.overall)
    )
    controls = report.controls
    table.add_row("controls", f"{counted(controls.n_items, 'item')}, steps called valid", _percent(controls.accuracy))
    return table


def _json(report: Any, calibrated: CalibratedReport | None) -> dict[str, Any]:
    return {**report.as_json(), **({} if calibrated is None else {"calibrated": calibrated.as_json()})}


def _show_calibrated(calibrated: CalibratedReport, table: Table) -> None:
    """The same table by calibrated rewards, and by tenths how often steps with such a reward are right."""
    say(f"by rewards calibrated as {calibrated.name}, at its threshold {calibrated.threshold:g}:")
    print_table(table)
    if calibrated.reliability is None:
        say("the job's solutions came without labels, so how reliable its rewards are is not known")
        return
    curves = calibrated.reliability.reward, calibrated.reliability.calibrated
    shown = Table(("rewards from", "right", "steps", "calibrated: right", "steps"))
    by_low = [{f"{row.low:.1f}": row for row in curve.bins} for curve in curves]
    for low in sorted({*by_low[0], *by_low[1]}):
        cells = [rows.get(low) for rows in by_low]
        shown.add_row(low, *(text for row in cells for text in _bin(row)))
    shown.add_row("Brier score", f"{curves[0].brier:.3f}", "", f"{curves[1].brier:.3f}", "")
    print_table(shown)


def _bin(row: Bin | None) -> tuple[str, str]:
    return ("-", "0") if row is None else (f"{row.right:.1%}", f"{row.n:,}")


def show_compared(read: Rollouts) -> None:
    """Count the problems that are left out, and the responses that are cut, unparsed or undecided."""
    said = {
        "problems_left_out": "problems are left out: they lack a response (failed, or not written yet)",
        "cut": "responses were cut by the token limit and have no answer",
        "unparsed": "answers cannot be read as an expression and count as wrong",
        "undecided": "answers took too long to compare and count as wrong",
    }
    for name, what in said.items():
        if read.counts[name]:
            say(f"{read.counts[name]:,} {what}")


def show_best_of_n(report: best_of_n.BestOfNReport, *, as_json: bool, more: Mapping[str, int] | None = None) -> None:
    """How often each way to pick is right, by N. `more` is added to the JSON."""
    if report.without_answer:
        say(f"{counted(report.without_answer, 'response')} without a final answer, left out of the votes")
    if report.n_judged == 0:
        say("no problem has rewards: --judge JUDGE judges the responses, --job JOB takes the rewards of a job")
    elif report.n_judged < report.n_problems:
        say(
            f"{counted(report.without_reward, 'response')} without a reward: rows that need rewards are over"
            f" {report.n_judged:,} of {counted(report.n_problems, 'problem')}"
        )
    if as_json:
        print_json({**report.as_json(), **(more or {})})
        return
    ns = list(report.pass_at)
    table = Table(("pick", *(f"N={n}" for n in ns)))
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


def check_threshold(threshold: float | None, judge: str, family: str | None, *, judged: bool) -> None:
    """Raises ConfigError before anything is read; of a job its own family decides when it is."""
    from rprm_jobs.judge.families.rprm import RPRM
    from rprm_jobs.judge.resolve import resolve_judge

    if threshold is not None:
        (resolve_judge(judge, family).family if judged else RPRM).check_threshold(threshold)


def check_source(job: int | None, predictions: str | None, files: list[str] | None) -> None:
    """Raises ConfigError where there is nothing to evaluate."""
    if not files and job is None and predictions is None:
        raise ConfigError(
            "there is nothing to evaluate", hint="name the benchmark's files, a --job, or a file of --predictions"
        )
