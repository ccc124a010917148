"""Labelled input: solutions of which only the steps with a label are to be judged, and counts of what was left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rprm_jobs.errors import BadLine
from rprm_jobs.formats.readers.bad_row import BadRow
from rprm_jobs.formats.readers.options import ReadOptions
from rprm_jobs.formats.readers.reading import RowGroup, read_groups
from rprm_jobs.formats.readers.report import ReadReport
from rprm_jobs.formats.readers.row_formats.protocol import ReadContext
from rprm_jobs.formats.readers.rows import InputRow, check_plain
from rprm_jobs.pairs.labels import CORRECT, NEUTRAL, WRONG, contradiction, step_ratings
from rprm_jobs.settings import Limits
from rprm_jobs.types import Solution


@dataclass(slots=True)
class LabelCounts:
    """Steps by their label, over all rows read so far.

    `neutral_left_out` were not asked for; `unlabelled` are steps without a label (of PRM800K: completions rated null).
    `rows_left_out` are rows without any step to judge.
    """

    correct: int = 0
    neutral: int = 0
    wrong: int = 0
    neutral_left_out: int = 0
    unlabelled: int = 0
    rows_left_out: int = 0


def read_labelled(
    paths: Sequence[str],
    options: ReadOptions,
    limits: Limits,
    counts: LabelCounts,
    *,
    skip_neutral: bool = False,
    report: ReadReport | None = None,
) -> Iterator[InputRow | BadLine]:
    """Read everything named, in order; a row of PRM800K becomes several. `counts` grows with what is read.

    A row needs `label`, `step_labels`, or PRM800K's ratings. Raises like `read_solutions`.
    """
    report = report or ReadReport()
    context = ReadContext(labelled=True)
    for group in read_groups(paths, options, limits, report, context):
        if isinstance(group, BadLine):
            yield group
            continue
        null_ratings, context.unlabelled = context.unlabelled, 0
        try:
            solutions = [_labelled(row, group, options, limits, report) for row in group.rows]
        except BadRow as bad:
            yield BadLine(group.file, group.line, str(bad), group.value)
            continue
        to_judge = [j for s in solutions if (j := _to_judge(s, counts, skip_neutral)) is not None]
        # Of PRM800K, a completion counts once, though it stands in several solutions.
        counts.unlabelled += null_ratings if context.rated else _unlabelled(solutions)
        counts.rows_left_out += not to_judge
        yield from (InputRow(group.file, group.line, solution) for solution in to_judge)


def _labelled(
    row: dict[str, Any] | BadRow, group: RowGroup, options: ReadOptions, limits: Limits, report: ReadReport
) -> Solution:
    if isinstance(row, BadRow):
        raise row
    id_ = row.get("id")
    try:
        solution = check_plain(row, options, limits, report, empty_steps=group.row_format.empty_steps)
    except BadRow as bad:
        raise BadRow(f"{id_}: {bad}" if id_ is not None else str(bad)) from bad
    if solution.label is None and solution.step_labels is None:
        raise BadRow("the row has no label: give label, the 0-based first wrong step (-1 for none), or step_labels")
    at_odds = contradiction(len(solution.steps), solution.label, solution.step_labels)
    if at_odds is not None:
        raise BadRow(f"label and step_labels do not agree on step {at_odds + 1}")
    return solution


def _to_judge(solution: Solution, counts: LabelCounts, skip_neutral: bool) -> Solution | None:
    """The solution with its steps to be judged; None when it has none."""
    ratings = step_ratings(len(solution.steps), solution.label, solution.step_labels)
    left_out = {None, NEUTRAL} if skip_neutral else {None}
    counts.correct += ratings.count(CORRECT)
    counts.wrong += ratings.count(WRONG)
    if skip_neutral:
        counts.neutral_left_out += ratings.count(NEUTRAL)
    else:
        counts.neutral += ratings.count(NEUTRAL)
    steps = tuple(step for step, rating in enumerate(ratings) if rating not in left_out)
    return replace(solution, judge_steps=steps) if steps else None


def _unlabelled(solutions: Sequence[Solution]) -> int:
    return sum(step_ratings(len(s.steps), s.label, s.step_labels).count(None) for s in solutions)
