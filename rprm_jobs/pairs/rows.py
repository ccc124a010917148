"""From one judged solution to the rows of a training set, and counts of what became of its steps and critiques.

A row has a place in a seeded order (`draw`), which balancing cuts and training reads by, and the hash of its problem,
by which whole problems go to the validation split.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rprm_jobs.pairs.labels import is_correct, step_ratings
from rprm_jobs.pairs.rules import PairRules, Rules
from rprm_jobs.pairs.select import Selection, StepDisposition, select_pairs, select_sft
from rprm_jobs.pairs.summary import CritiqueSummary, Readings


@dataclass(frozen=True, slots=True)
class JudgedSolution:
    """One solution of a job with the readings of its critiques; `readings` is None where there are no critiques.

    A step's readings are None where its texts were not kept, and empty where it was not judged.
    """

    ord: int
    id: str
    problem: str
    n_steps: int
    label: int | None
    step_labels: Sequence[int | None] | None
    readings: Readings | None


class TrainingRow(NamedTuple):
    """One candidate: `draw` and `problem` are signed 64-bit; `rejected` is None in a set of single critiques."""

    draw: int
    problem: int
    ord: int
    step: int
    correct: bool
    chosen: int
    rejected: int | None


@dataclass(slots=True)
class SelectionCounts:
    """Counts over all solutions seen, and a digest of all rows, texts included."""

    steps: Counter[str] = field(default_factory=Counter)
    critiques: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    _hash: hashlib.blake2b = field(default_factory=lambda: hashlib.blake2b(digest_size=32))

    def add(self, selection: Selection) -> None:
        """One more labelled step."""
        self.steps[selection.step] += 1
        self.critiques.update(selection.dispositions)

    def add_row(self, row: TrainingRow, readings: Sequence[CritiqueSummary]) -> None:
        """One more row, and the two critiques (or the one) that it is made of."""
        rejected = 0 if row.rejected is None else readings[row.rejected].digest
        self._hash.update(b"%d:%d:%d;" % (row.draw, readings[row.chosen].digest, rejected))

    @property
    def digest(self) -> str:
        """Hex digest of the rows so far, the same for equal rows of equal texts in the same order."""
        return self._hash.hexdigest()


def rows_of(judged: JudgedSolution, rules: Rules, tally: SelectionCounts) -> Iterator[TrainingRow]:
    """The rows that one solution gives; the tally counts as they are drawn."""
    ratings = step_ratings(judged.n_steps, judged.label, judged.step_labels)
    problem: int | None = None
    for step, rating in enumerate(ratings):
        if rating is None:
            tally.steps[StepDisposition.UNLABELLED] += 1
            continue
        correct = is_correct(rating, rules.neutral)
        if correct is None:
            tally.steps[StepDisposition.NEUTRAL] += 1
            continue
        tally.labels["correct" if correct else "wrong"] += 1
        group = judged.readings[step] if judged.readings else ()
        if not group:
            tally.steps[StepDisposition.NO_TEXTS if group is None else StepDisposition.NOT_JUDGED] += 1
            continue
        key = f"{rules.seed}\x1f{judged.id}\x1f{step}\x1f"
        selection = _select(group, correct, rules, key)
        tally.add(selection)
        if selection.rows and problem is None:
            problem = problem_draw(rules.seed, judged.problem)
        for chosen, rejected in selection.rows:
            row = TrainingRow(
                _draw(f"{key}{chosen}\x1f{rejected}"), problem or 0, judged.ord, step, correct, chosen, rejected
            )
            tally.add_row(row, group)
            yield row


def _select(group: Sequence[CritiqueSummary], correct: bool, rules: Rules, key: str) -> Selection:
    if isinstance(rules, PairRules):
        return select_pairs(group, correct, rules, lambda chosen, rejected: _draw(f"{key}{chosen}\x1f{rejected}"))
    return select_sft(group, correct, rules.per_step)


def problem_draw(seed: int, problem: str) -> int:
    """A problem's place in the seeded order of problems; white space does not make it another problem."""
    return _draw(f"{seed}\x1f{' '.join(problem.split())}")


def _draw(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big", signed=True)
