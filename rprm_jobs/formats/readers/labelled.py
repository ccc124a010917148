"""Labelled input: solutions of which only the steps with a label are to be judged, and counts of what was left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rprm_jobs.errors import BadLine
from rprm_jobs.formats.readers import prm800k
from rprm_jobs.formats.readers.reading import read_raw
from rprm_jobs.formats.readers.rows import BadRow, InputRow, ReadOptions, to_solution
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
    paths: Sequence[str], options: ReadOptions, limits: Limits, counts: LabelCounts, *, skip_neutral: bool = False
) -> Iterator[InputRow | BadLine]:
    """Read everything named, in order; a row of PRM800K becomes several. `counts` grows with what is read.

    A row needs `label`, `step_labels`, or PRM800K's ratings. Raises like `read_solutions`.
    """
    for raw in read_raw(paths, limits, split=options.split):
        if isinstance(raw, BadLine):
            yield raw
            continue
        try:
            solutions = _solutions(raw.value, options, limits)
            unlabelled = prm800k.null_ratings(raw.value) if prm800k.is_row(raw.value) else None
        except BadRow as bad:
            yield BadLine(raw.file, raw.line, str(bad))
            continue
        to_judge = [j for s in solutions if (j := _to_judge(s, counts, skip_neutral)) is not None]
        counts.unlabelled += _unlabelled(solutions) if unlabelled is None else unlabelled
        counts.rows_left_out += not to_judge
        yield from (InputRow(raw.file, raw.line, solution) for solution in to_judge)


def _solutions(raw: Any, options: ReadOptions, limits: Limits) -> list[Solution]:
    if prm800k.is_row(raw):
        return [_rated(row, options, limits) for row in prm800k.plain_rows(raw) if row["steps"]]
    solution = to_solution(raw, options, limits)
    if solution.label is None and solution.step_labels is None:
        raise BadRow("the row has no label: give label, the 0-based first wrong step (-1 for none), or step_labels")
    at_odds = contradiction(len(solution.steps), solution.label, solution.step_labels)
    if at_odds is not None:
        raise BadRow(f"label and step_labels do not agree on step {at_odds + 1}")
    return [solution]


def _rated(row: dict[str, Any], options: ReadOptions, limits: Limits) -> Solution:
    try:
        return to_solution(row, options, limits)
    except BadRow as bad:
        raise BadRow(f"{row['id']}: {bad}") from bad


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
