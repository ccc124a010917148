"""Evaluating on PRMBench: items from its files (and controls made from redundency), scores from a job or from rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

from rprm_jobs.errors import BadLine, ConfigError, InputError
from rprm_jobs.evaluation.calibrated import Calibrator
from rprm_jobs.evaluation.prmbench_results import PrmbenchResult, ResultRow, named_steps, read_result
from rprm_jobs.evaluation.prmbench_rows import (
    CLASSES,
    CONTROL,
    CONTROLLED,
    PrmbenchItem,
    class_of,
    control_row,
    first_of_each,
    read_item,
)
from rprm_jobs.formats import BadRow, InputRow, RawRow, ReadOptions, to_solution
from rprm_jobs.judge.families.critic import SCORES, CriticFamily
from rprm_jobs.judge.families.table import FAMILIES
from rprm_jobs.judge.ratings import read_ratings
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.services.context import Context
from rprm_jobs.services.evaluation.benchmark_rows import BadRows, parse_rows
from rprm_jobs.services.evaluation.calibrated_jobs import outcomes_of
from rprm_jobs.services.jobs.query import job_status, refuse_unjudged
from rprm_jobs.settings import Limits
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.records import Job
from rprm_jobs.store.results.export import Outcome, read_outcomes
from rprm_jobs.store.texts import unpack_texts
from rprm_jobs.types import ItemStatus, Solution
from rprm_jobs.words import counted

Results = dict[str, PrmbenchResult]


@dataclass(frozen=True)
class Benchmark:
    """The items in the order of the files, repeated keys and all, and one solution to be judged for each key."""

    items: tuple[PrmbenchItem, ...]
    rows: tuple[InputRow, ...]

    @cached_property
    def by_key(self) -> dict[str, PrmbenchItem]:
        """The first item of each key."""
        return {item.key: item for item in first_of_each(self.items)}

    @cached_property
    def absent(self) -> frozenset[str]:
        """The classes of which there is no item here; a key of them is no mistake."""
        return frozenset((*CLASSES, CONTROL)) - {item.classification for item in self.items}

    def find(self, key: str, result: PrmbenchResult) -> PrmbenchItem:
        """The item. Raises InputError when no item has this key, or its steps are not those of the result.

        Labels may end before the steps do: a system that saw a part of the solution has labelled only that.
        """
        item = self.by_key.get(key)
        if item is None:
            raise InputError(f"{key!r} is not in the benchmark")
        n_steps = len(item.steps)
        labels = [kind for kind in (result.validity, result.redundancy) if kind is not None]
        if result.scores is not None and len(result.scores) != n_steps and not labels:
            raise InputError(f"{key!r} has {counted(len(result.scores), 'score')} for {counted(n_steps, 'step')}")
        if max(map(len, (*labels, result.scores or ())), default=0) > n_steps:
            raise InputError(f"{key!r} has more labels or scores than its {counted(n_steps, 'step')}")
        return item


def read_benchmark(paths: Sequence[str], limits: Limits) -> Benchmark:
    """Read the benchmark's files. A redundency row implies its control, unless the files have that themselves.

    Raises InputError with every row that is none of PRMBench.
    """
    bad = BadRows()
    parsed_rows: list[tuple[RawRow, PrmbenchItem, Solution]] = []
    controls: list[tuple[RawRow, PrmbenchItem, Solution]] = []
    for raw, parsed in parse_rows(paths, limits, lambda row: _parse(row, limits), bad):
        parsed_rows.append((raw, *parsed[0]))
        controls += [(raw, *control) for control in parsed[1:]]
    bad.check("name PRMBench's own files or their folder; ProcessBench has rprm-jobs eval processbench")
    own = {item.key for _, item, _ in parsed_rows}
    parsed_rows += [control for control in controls if control[1].key not in own]
    rows: dict[str, InputRow] = {}
    for raw, item, solution in parsed_rows:
        rows.setdefault(item.key, InputRow(raw.file, raw.line, solution))
    return Benchmark(tuple(item for _, item, _ in parsed_rows), tuple(rows.values()))


def _parse(row: Mapping[str, Any], limits: Limits) -> list[tuple[PrmbenchItem, Solution]]:
    """The row's item and, of redundency, its control."""
    variants = [dict(row)]
    if row.get("classification") == CONTROLLED:
        variants.append(control_row(row))
    try:
        return [(read_item(variant), to_solution(variant, ReadOptions(), limits)) for variant in variants]
    except BadRow as error:
        raise InputError(str(error)) from error


def read_predictions(path: str, benchmark: Benchmark, limits: Limits) -> Results:
    """Result rows of PRMBench or of R-PRM, by key. Raises InputError with every row that is not the benchmark's.

    The benchmark repeats some keys, and so do results of it: the first counts, as it does among the items.
    Results of whole classes that are not named are taken and have no item.
    """
    bad, by_steps = BadRows(), _BySteps(benchmark)
    results: Results = {}
    for raw, row in parse_rows([path], limits, read_result, bad):
        try:
            key = by_steps.key(row)
            if key not in results:
                results[key] = row.result
                if class_of(key) not in benchmark.absent:
                    benchmark.find(key, row.result)
        except InputError as error:
            bad.add(BadLine(raw.file, raw.line, error.what))
    bad.check("give rows of results for the items of the files that are named")
    return results


class _BySteps:
    """Finds the item of a row that names none by its steps; several with the same ones in the order of the files."""

    def __init__(self, benchmark: Benchmark) -> None:
        self._keys: dict[tuple[str, ...], list[str]] = {}
        for item in benchmark.items:
            self._keys.setdefault(named_steps(item.steps), []).append(item.key)

    def key(self, row: ResultRow) -> str:
        """The row's key. Raises InputError when no item, or no further one, has its steps."""
        if row.key is not None:
            return row.key
        keys = self._keys.get(row.steps or (), [])
        if not keys:
            raise InputError("no item of the benchmark has these now_steps")
        return keys.pop(0)


def read_calibrated(context: Context, job_id: int, benchmark: Benchmark, calibrator: Calibrator) -> Results:
    """As `read_job`, with calibrated rewards. Raises ConfigError for critics that label the steps themselves."""
    with context.database.transaction() as connection:
        job = jobs.get(connection, job_id)
    if _rates(job):
        raise ConfigError(f"job {job_id} labels steps, and a calibration is of votes", hint="leave out --calibrated")
    outcomes = (outcome for batch in outcomes_of(context, job, calibrator) for outcome in batch)
    return {outcome.id: _checked(outcome, benchmark) for outcome in outcomes}


def _rates(job: Job) -> bool:
    family = job.recipe.judge_family
    return isinstance(family, CriticFamily) and family.protocol == SCORES


def read_job(context: Context, job_id: int, benchmark: Benchmark) -> Results:
    """The rewards and labels of a job, by key; a solution that failed has none.

    Labels are those of PRMBench's own runner for the job's family, or else what the job's threshold says. Critics that
    rate every step give labels of redundancy too where their texts were kept; an answer of theirs that cannot be read
    is marked as none, as PRMBench's own runner marks it.

    Raises NotFound, and InputError with every solution that is not the benchmark's.
    """
    status = job_status(context, job_id)
    refuse_unjudged(status)
    job = status.job
    rates = _rates(job)
    bad = BadRows()
    results: Results = {}
    for batch in read_outcomes(context.database, job, with_texts=rates):
        for outcome in batch:
            try:
                result = _checked(outcome, benchmark)
                results[outcome.id] = (
                    _rated(outcome, result, job.recipe.threshold) if rates else _labelled(result, job.recipe)
                )
            except InputError as error:
                bad.add(BadLine(job.sources[outcome.source], outcome.line, error.what))
    bad.check(f"name all benchmark files that job {job_id} judged")
    return results


def _checked(outcome: Outcome, benchmark: Benchmark) -> PrmbenchResult:
    result = PrmbenchResult(None if outcome.rewards is None else tuple(outcome.rewards))
    benchmark.find(outcome.id, result)
    return result if outcome.status == ItemStatus.OK else PrmbenchResult()


def _labelled(result: PrmbenchResult, recipe: Recipe) -> PrmbenchResult:
    """The result with labels, unless a step has no reward."""
    scores = [score for score in result.scores or () if score is not None]
    if result.scores is None or len(scores) < len(result.scores):
        return result
    row = FAMILIES.get(recipe.judge_family.name)
    if row is None or row.prmbench_change is None:
        return replace(result, validity=tuple(score >= recipe.threshold for score in scores))
    changes = (score - before for before, score in pairwise([0.0, *scores]))
    return replace(result, validity=tuple(change > row.prmbench_change for change in changes))


def _rated(outcome: Outcome, result: PrmbenchResult, threshold: float) -> PrmbenchResult:
    """The result with the labels of a critic: a rating above 0 is valid, or redundant; of several the mean counts."""
    if outcome.status != ItemStatus.OK or result.scores is None:
        answered = any(count for count in outcome.critiques_per_step or ())
        return PrmbenchResult(usable=not answered)
    validity = tuple(score is not None and score >= threshold for score in result.scores)
    return PrmbenchResult(result.scores, validity, _redundancy(outcome, len(validity)))


def _redundancy(outcome: Outcome, n_steps: int) -> tuple[bool, ...] | None:
    """None where no text was kept, or none rates redundancy."""
    texts = (unpack_texts(outcome.texts)[0] if outcome.texts is not None else None) or ()
    read = [read_ratings(text, n_steps) for text in texts]
    rated = [ratings.redundancy for ratings in read if ratings is not None and ratings.redundancy is not None]
    return tuple(math.fsum(values) > 0 for values in zip(*rated, strict=True)) if rated else None
