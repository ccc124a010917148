"""A calibration is fitted to a labelled job, stored, and adds a column to the results of any job."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rprm_jobs.cli.shared.evaluations import show_processbench
from rprm_jobs.errors import ConfigError, Conflict, NotFound
from rprm_jobs.evaluation.prmbench_rows import read_item
from rprm_jobs.evaluation.processbench_report import evaluate
from rprm_jobs.formats import InputRow, ReadOptions, to_solution
from rprm_jobs.report.figures import draw_all
from rprm_jobs.services.context import Context
from rprm_jobs.services.evaluation.calibrate import calibrated_rows, fit_calibration
from rprm_jobs.services.evaluation.calibrated_reports import calibrated_prmbench, calibrated_processbench
from rprm_jobs.services.evaluation.prmbench import Benchmark
from rprm_jobs.services.evaluation.processbench import read_job
from rprm_jobs.services.evaluation.report import read_report
from rprm_jobs.services.jobs.results import result_rows
from rprm_jobs.settings import Limits
from rprm_jobs.store import calibrations
from tests.support.jobs import make_solutions, take_in
from tests.support.store import work_off_all

pytest.importorskip("sklearn")
pytestmark = pytest.mark.integration


def test_it_is_fitted_stored_and_applied(context: Context) -> None:
    labelled = [replace(solution, label=i % 3 - 1) for i, solution in enumerate(make_solutions(12))]
    job = take_in(context.database, labelled).job_id
    work_off_all(context.database)
    stored = fit_calibration(context, "mine", [job])
    # Up to the first error: none of 4 solutions (3 steps each), the first step of 4, the first two of 4.
    assert (stored.calibrator.steps, stored.sources) == (12 + 4 + 8, (f"job {job}",))
    raw = list(result_rows(context, job))
    rows = list(calibrated_rows(context, job, "mine"))
    assert [{k: v for k, v in row.items() if k != "calibrated"} for row in rows] == raw
    assert all(0 <= reward <= 1 for row in rows for reward in row["calibrated"])
    report = read_report(context, job, sample=12, shown=0, calibrated="mine")
    assert [list(row.calibrated or ()) for row in report.sample] == [row["calibrated"] for row in rows]
    (figure,) = [each for each in draw_all(report.sample, 0.5) if each.name == "calibration"]
    assert "Calibrated: Expected calibration error" in figure.caption
    with pytest.raises(Conflict, match="there is a calibration 'mine' already"):
        fit_calibration(context, "mine", [job])
    with context.database.transaction() as connection:
        calibrations.delete(connection, "mine")
        assert calibrations.list_all(connection) == []
    with pytest.raises(NotFound):
        list(calibrated_rows(context, job, "mine"))


def test_a_benchmark_is_scored_by_both_rewards_with_their_reliability(
    context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    labelled = [replace(s, id=f"gsm8k-{i}", label=i % 4 - 1) for i, s in enumerate(make_solutions(16))]
    job = take_in(context.database, labelled).job_id
    work_off_all(context.database)
    threshold = fit_calibration(context, "mine", [job]).calibrator.threshold
    better = calibrated_processbench(context, job, None, "mine", allow_incomplete=False, seed=0)
    rows = list(calibrated_rows(context, job, "mine"))
    first = [next((at for at, r in enumerate(row["calibrated"]) if r < threshold), -1) for row in rows]
    hits = [row["label"] == at for row, at in zip(rows, first, strict=True)]
    errors = [hit for hit, row in zip(hits, rows, strict=True) if row["label"] >= 0]
    shown = better.as_json()
    assert shown["subsets"]["gsm8k"]["error_acc"] == pytest.approx(100 * sum(errors) / len(errors))
    assert (shown["name"], shown["threshold"]) == ("mine", threshold)
    reliability = better.reliability
    assert reliability is not None
    # The truth of a step is known up to the first error.
    assert [sum(row.n for row in curve.bins) for curve in (reliability.reward, reliability.calibrated)] == [36, 36]
    assert reliability.calibrated.brier < reliability.reward.brier
    answers = read_job(context, job, None)
    report = evaluate(answers.items, answers.answers)
    show_processbench(report, as_json=False, calibrated=better)
    out = capsys.readouterr()
    assert out.out.count("gsm8k") == 2
    assert "Brier score" in out.out
    assert f"calibrated as mine, at its threshold {threshold:g}" in out.err


def test_prmbench_is_scored_by_calibrated_rewards(context: Context) -> None:
    items = [
        {
            "idx": f"own_{n}",
            "classification": "deception",
            "original_question": "P?",
            "modified_question": "P?",
            "original_process": ["One.", "Two."],
            "modified_process": ["One.", f"Two, or {n}."],
            "error_steps": [2],
        }
        for n in range(6)
    ]
    rows = [(read_item(item), to_solution(item, ReadOptions(), Limits())) for item in items]
    benchmark = Benchmark(
        tuple(item for item, _ in rows), tuple(InputRow("x", n, solution) for n, (_, solution) in enumerate(rows))
    )
    job = take_in(context.database, [solution for _, solution in rows]).job_id
    work_off_all(context.database)
    fit_calibration(context, "mine", [job])
    better = calibrated_prmbench(context, job, benchmark, "mine")
    assert better.as_json()["n_items"] == 6
    assert better.reliability is not None
    assert sum(row.n for row in better.reliability.calibrated.bins) == 12


def test_a_bad_name_or_nothing_to_learn_from_is_refused(context: Context) -> None:
    with pytest.raises(ConfigError, match="is not a name"):
        fit_calibration(context, "a b", [1])
    with pytest.raises(ConfigError, match="nothing to learn from"):
        fit_calibration(context, "mine", [])
