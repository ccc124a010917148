"""Evaluating on ProcessBench: labels from the benchmark's files, answers from a finished job or from recorded rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rprm_jobs.errors import BadLine, InputError
from rprm_jobs.evaluation.calibrated import Calibrator
from rprm_jobs.evaluation.metrics import NO_ERROR
from rprm_jobs.evaluation.processbench_answers import Answer, answer_of_status, predict, read_answer
from rprm_jobs.evaluation.processbench_report import ProcessBenchItem, subset_of
from rprm_jobs.formats import BadRow, ReadOptions, to_solution
from rprm_jobs.services.context import Context
from rprm_jobs.services.evaluation.benchmark_rows import BadRows, FirstSeen, parse_rows, row_id
from rprm_jobs.services.evaluation.calibrated_jobs import outcomes_of
from rprm_jobs.services.jobs.query import job_status, refuse_unjudged
from rprm_jobs.settings import Limits
from rprm_jobs.store.results.export import Outcome
from rprm_jobs.types import ItemStatus
from rprm_jobs.words import counted

_NOT_JUDGED = "not judged yet"
_TWO_VERSIONS = "stands at {} with another text or label: two versions of a benchmark"


@dataclass(frozen=True, slots=True)
class Answers:
    """What is to be scored: every labelled solution, and by id what was answered."""

    items: tuple[ProcessBenchItem, ...]
    answers: Mapping[str, Answer]


def read_items(paths: Sequence[str], limits: Limits) -> dict[str, ProcessBenchItem]:
    """The labelled solutions of the benchmark's files, by id. Raises InputError with every row that is not one."""
    bad, seen = BadRows(), FirstSeen()
    items: dict[str, ProcessBenchItem] = {}

    def parse(row: Mapping[str, Any]) -> tuple[ProcessBenchItem, object]:
        row_id(row)
        try:
            solution = to_solution(row, ReadOptions(), limits)
        except BadRow as error:
            raise InputError(str(error)) from error
        subset_of(solution.id)
        if solution.label is None:
            raise InputError("the row has no label, so it is of no benchmark")
        return ProcessBenchItem(solution.id, solution.label, len(solution.steps)), (
            solution.problem,
            solution.steps,
            solution.label,
        )

    for raw, (item, content) in parse_rows(paths, limits, parse, bad):
        if (reason := seen.repeats(item.id, raw, content, otherwise=_TWO_VERSIONS)) is not None:
            bad.add(BadLine(raw.file, raw.line, reason))
        items[item.id] = item
    bad.check("name ProcessBench's own files, each once")
    return items


def read_predictions(
    path: str, items: Mapping[str, ProcessBenchItem] | None, limits: Limits, threshold: float
) -> Answers:
    """Recorded answers against `items`, or against the rows' own labels. Raises InputError with every bad row."""
    bad, seen = BadRows(), FirstSeen()
    known = dict(items or {})
    answers: dict[str, Answer] = {}

    def parse(row: Mapping[str, Any]) -> tuple[ProcessBenchItem, Answer]:
        item = _own_item(row) if items is None else _same_version(row, items)
        return item, read_answer(row, item.n_steps, threshold)

    for raw, (item, answer) in parse_rows([path], limits, parse, bad):
        if (reason := seen.repeats(item.id, raw, answer, otherwise="is answered otherwise at {}")) is not None:
            bad.add(BadLine(raw.file, raw.line, reason))
        known[item.id], answers[item.id] = item, answer
    bad.check("correct them, and name the benchmark's files that they are for")
    return Answers(tuple(known.values()), answers)


def _own_item(row: Mapping[str, Any]) -> ProcessBenchItem:
    label = row.get("label")
    n_steps = _n_steps(row)
    if type(label) is not int or label < NO_ERROR or (n_steps is not None and label >= n_steps):
        raise InputError("the row has no label (0-based first error, -1 for none), and no benchmark file is named")
    id_ = row_id(row)
    subset_of(id_)
    return ProcessBenchItem(id_, label, n_steps)


def _same_version(row: Mapping[str, Any], items: Mapping[str, ProcessBenchItem]) -> ProcessBenchItem:
    id_ = row_id(row)
    item = items.get(id_)
    if item is None:
        raise InputError(f"id {id_!r} is not in the benchmark")
    _check_version(item, row.get("label"), _n_steps(row))
    return item


def _n_steps(row: Mapping[str, Any]) -> int | None:
    steps = row.get("steps")
    if type(steps) is list:
        return len(steps)
    value = row.get("n_steps")
    return value if type(value) is int else None


def _check_version(item: ProcessBenchItem, label: Any, n_steps: int | None) -> None:
    if label is not None and label != item.label:
        raise InputError(f"id {item.id!r} has label {label}, {item.label} in the benchmark: two versions of it")
    if n_steps is not None and n_steps != item.n_steps:
        raise InputError(
            f"id {item.id!r} has {counted(n_steps, 'step')}, {item.n_steps} in the benchmark: two versions of it"
        )


def read_job(
    context: Context,
    job_id: int,
    items: Mapping[str, ProcessBenchItem] | None,
    *,
    threshold: float | None = None,
    calibrator: Calibrator | None = None,
) -> Answers:
    """What a job answered, against `items` or the labels that it was submitted with; `threshold`: None is the job's.

    With a `calibrator` the answers are those of calibrated rewards, at its own threshold. Raises NotFound, ConfigError
    for a threshold off the judge's scale, and InputError with every solution that is not the benchmark's.
    """
    status = job_status(context, job_id)
    refuse_unjudged(status)
    job = status.job
    if threshold is not None:
        job.recipe.judge_family.check_threshold(threshold)
    bad = BadRows()
    known = dict(items or {})
    answers: dict[str, Answer] = {}
    limit = job.recipe.threshold if threshold is None else threshold
    if calibrator is not None:
        limit = calibrator.threshold
    voted = job.recipe.judge_family.votes_for_first_error
    for batch in outcomes_of(context, job, calibrator):
        for outcome in batch:
            try:
                item = _item_of(outcome, items)
            except InputError as error:
                bad.add(BadLine(job.sources[outcome.source], outcome.line, error.what))
                continue
            answer = _voted(outcome) if voted else _answer_of(outcome, limit)
            known[item.id], answers[item.id] = item, answer
    bad.check(f"name all benchmark files that job {job_id} judged, and no others")
    return Answers(tuple(known.values()), answers)


def _item_of(outcome: Outcome, items: Mapping[str, ProcessBenchItem] | None) -> ProcessBenchItem:
    n_steps = None if outcome.rewards is None else len(outcome.rewards)
    if items is None:
        if outcome.label is None:
            raise InputError(f"id {outcome.id!r} has no label, and no benchmark file is named")
        subset_of(outcome.id)
        return ProcessBenchItem(outcome.id, outcome.label, n_steps)
    if outcome.id not in items:
        raise InputError(f"id {outcome.id!r} is not in the benchmark")
    _check_version(items[outcome.id], outcome.label, n_steps)
    return items[outcome.id]


def _voted(outcome: Outcome) -> Answer:
    """The first error that critics voted for, which no threshold changes."""
    if outcome.status is None:
        return Answer(None, _NOT_JUDGED, missing=True)
    return Answer(outcome.first_error) if outcome.status == ItemStatus.OK else answer_of_status(outcome.status)


def _answer_of(outcome: Outcome, threshold: float) -> Answer:
    if outcome.status is None:
        return Answer(None, _NOT_JUDGED, missing=True)
    if outcome.status != ItemStatus.OK or outcome.rewards is None:
        return answer_of_status(outcome.status)
    return predict(outcome.rewards, threshold)
