"""Evaluating on PRMBench: items from its files (and controls made from redundency), scores from a job or from rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rprm_jobs.errors import BadLine, InputError
from rprm_jobs.evaluation.prmbench_rows import (
    CONTROLLED,
    PrmbenchItem,
    control_row,
    first_of_each,
    read_item,
    read_scores,
)
from rprm_jobs.formats import InputRow, RawRow, ReadOptions
from rprm_jobs.formats.readers.rows import BadRow, to_solution
from rprm_jobs.services.context import Context
from rprm_jobs.services.evaluation.benchmark_rows import BadRows, parse_rows
from rprm_jobs.settings import Limits
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.results.export import Outcome, read_outcomes
from rprm_jobs.types import Solution

Scores = dict[str, Sequence[float | None]]


@dataclass(frozen=True)
class Benchmark:
    """The items in the order of the files, repeated keys and all, and one solution to be judged for each key."""

    items: tuple[PrmbenchItem, ...]
    rows: tuple[InputRow, ...]

    @cached_property
    def by_key(self) -> dict[str, PrmbenchItem]:
        """The first item of each key."""
        return {item.key: item for item in first_of_each(self.items)}

    def find(self, key: str, n_scores: int | None) -> PrmbenchItem:
        """The item. Raises InputError when no item has this key, or it has another number of steps."""
        item = self.by_key.get(key)
        if item is None:
            raise InputError(f"{key!r} is not in the benchmark")
        if n_scores is not None and n_scores != len(item.steps):
            raise InputError(f"{key!r} has {n_scores} scores for {len(item.steps)} steps")
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


def read_predictions(path: str, benchmark: Benchmark, limits: Limits) -> Scores:
    """PRMBench's own result rows, by key. Raises InputError with every row that is not the benchmark's.

    The benchmark repeats some keys, and so do results of it: the first counts, as it does among the items.
    """
    bad = BadRows()
    scores: Scores = {}
    for raw, (key, values) in parse_rows([path], limits, read_scores, bad):
        if key in scores:
            continue
        scores[key] = values
        try:
            benchmark.find(key, len(values))
        except InputError as error:
            bad.add(BadLine(raw.file, raw.line, error.what))
    bad.check("give rows of results for the items of the files that are named")
    return scores


def read_job(context: Context, job_id: int, benchmark: Benchmark) -> Scores:
    """The rewards of a job, by key; a solution that failed has none.

    Raises NotFound, and InputError with every solution that is not the benchmark's.
    """
    with context.database.transaction() as connection:
        job = jobs.get(connection, job_id)
    bad = BadRows()
    scores: Scores = {}
    for batch in read_outcomes(context.database, job):
        for outcome in batch:
            try:
                scores[outcome.id] = _checked(outcome, benchmark)
            except InputError as error:
                bad.add(BadLine(job.sources[outcome.source], outcome.line, error.what))
    bad.check(f"name all benchmark files that job {job_id} judged")
    return scores


def _checked(outcome: Outcome, benchmark: Benchmark) -> Sequence[float | None]:
    rewards = outcome.rewards
    benchmark.find(outcome.id, None if rewards is None else len(rewards))
    return rewards if rewards is not None and outcome.status == "ok" else []
