"""A job's benchmark reports by calibrated rewards, to be shown beside those by its rewards."""

from __future__ import annotations

from collections.abc import Mapping

from rprm_jobs.evaluation import prmbench as prmbench_scores
from rprm_jobs.evaluation import processbench_report
from rprm_jobs.evaluation.processbench_report import ProcessBenchItem
from rprm_jobs.services.context import Context
from rprm_jobs.services.evaluation import prmbench, processbench
from rprm_jobs.services.evaluation.calibrated_jobs import CalibratedReport, get_calibrator, read_reliability


def calibrated_processbench(
    context: Context,
    job_id: int,
    items: Mapping[str, ProcessBenchItem] | None,
    name: str,
    *,
    allow_incomplete: bool,
    seed: int,
) -> CalibratedReport:
    """ProcessBench's report of the job by this calibration. Raises as `processbench.read_job`, and NotFound."""
    calibrator = get_calibrator(context, name)
    answers = processbench.read_job(context, job_id, items, calibrator=calibrator)
    report = processbench_report.evaluate(answers.items, answers.answers, allow_incomplete=allow_incomplete, seed=seed)
    return CalibratedReport(name, calibrator.threshold, report, read_reliability(context, job_id, calibrator))


def calibrated_prmbench(context: Context, job_id: int, benchmark: prmbench.Benchmark, name: str) -> CalibratedReport:
    """PRMBench's report of the job by this calibration. Raises as `prmbench.read_calibrated`, and NotFound."""
    calibrator = get_calibrator(context, name)
    results = prmbench.read_calibrated(context, job_id, benchmark, calibrator)
    report = prmbench_scores.evaluate(benchmark.items, results, calibrator.threshold)
    return CalibratedReport(name, calibrator.threshold, report, read_reliability(context, job_id, calibrator))
