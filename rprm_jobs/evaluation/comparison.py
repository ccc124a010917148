"""Several judges on the same solutions: how good each is, how far they agree, and how sure their differences are.

A call is what a judge says of a step: right (True) or wrong (False), None where it says nothing. Steps count from 0.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from rprm_jobs.errors import InputError
from rprm_jobs.evaluation.agreement import kappa
from rprm_jobs.evaluation.bootstrap import Pairs, interval, mean_difference, mean_draws, paired_f1_draws
from rprm_jobs.evaluation.metrics import NO_ERROR
from rprm_jobs.evaluation.prmbench import VALID_ONLY, Counts
from rprm_jobs.evaluation.prmbench_rows import CONTROL
from rprm_jobs.evaluation.processbench_answers import Answer
from rprm_jobs.evaluation.processbench_report import ProcessBenchItem, ProcessBenchReport, evaluate, subset_of

Calls = tuple[bool | None, ...]
WHOLE = "all"


@dataclass(frozen=True, slots=True)
class JudgedAlike:
    """One solution that all judges have judged. `answers`, `calls` and `tokens` have an entry for each judge.

    `label` is the 0-based first wrong step, -1 for none, None where unknown; `truths` says of each step whether it is
    right, None where unknown. `rated`: the truths are ratings of the steps, and not drawn from the label.
    `classification` is PRMBench's class, if it has one.
    """

    id: str
    label: int | None
    truths: Calls
    rated: bool
    classification: str | None
    answers: tuple[Answer, ...]
    calls: tuple[Calls, ...]
    tokens: tuple[int, ...]


@dataclass(slots=True)
class JudgeTotals:
    """What one judge's calls add up to: by position (n, right), by PRMBench class, and its tokens by solution."""

    positions: dict[int, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    counts: dict[str, Counts] = field(default_factory=dict)
    tokens: list[int] = field(default_factory=list)
    unpredicted: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class PairTotals:
    """How often two judges say what: of steps (right or wrong), and of the first wrong step."""

    steps: Counter[tuple[bool, bool]] = field(default_factory=Counter)
    firsts: Counter[tuple[int, int]] = field(default_factory=Counter)


class Comparison:
    """Grows solution by solution; `judges` is how many there are. Raises InputError where solutions are repeated."""

    def __init__(self, judges: int) -> None:
        self.judges = [JudgeTotals() for _ in range(judges)]
        self.pairs = {pair: PairTotals() for pair in combinations(range(judges), 2)}
        self.solutions = 0
        self._items: list[ProcessBenchItem] = []
        self._answers: list[dict[str, Answer]] = [{} for _ in range(judges)]

    def add(self, judged: JudgedAlike) -> None:
        """One more solution."""
        self.solutions += 1
        if judged.label is not None:
            self._items.append(ProcessBenchItem(judged.id, judged.label, len(judged.truths)))
        for n, totals in enumerate(self.judges):
            answer = self._answers[n][judged.id] = judged.answers[n]
            if answer.prediction is None:
                totals.unpredicted[answer.reason] += 1
            totals.tokens.append(judged.tokens[n])
            _add_steps(totals, judged, judged.calls[n])
        for (first, second), pair in self.pairs.items():
            calls = zip(judged.calls[first], judged.calls[second], strict=True)
            pair.steps.update((a, b) for a, b in calls if a is not None and b is not None)
            named = judged.answers[first].prediction, judged.answers[second].prediction
            if named[0] is not None and named[1] is not None:
                pair.firsts[named[0], named[1]] += 1

    @property
    def labelled(self) -> int:
        """Solutions whose first wrong step is known."""
        return len(self._items)

    def report(self, judge: int, *, seed: int = 0) -> ProcessBenchReport | None:
        """The judge's F1 by subset, None without labels. Ids that name no subset are all of one."""
        if not self._items:
            return None
        prefix = self._prefix()
        items = [ProcessBenchItem(prefix + item.id, item.label, item.n_steps) for item in self._items]
        answers = {prefix + id_: answer for id_, answer in self._answers[judge].items()}
        return evaluate(items, answers, allow_incomplete=True, seed=seed)

    def _prefix(self) -> str:
        try:
            for item in self._items:
                subset_of(item.id)
        except InputError:
            return f"{WHOLE}-"
        return ""

    def prm_score(self, judge: int) -> float | None:
        """PRMScore in percent over the steps that are rated, without controls; None where no solution has ratings."""
        counts = [counts for name, counts in self.judges[judge].counts.items() if name != CONTROL]
        pooled = sum(counts, Counts())
        return pooled.score if pooled.steps else None

    def prm_classes(self, judge: int) -> dict[str, float]:
        """PRMBench's classes, if the solutions have them."""
        known = {name: counts for name, counts in self.judges[judge].counts.items() if name not in ("", CONTROL)}
        return {name: counts.f1 if name == VALID_ONLY else counts.score for name, counts in known.items()}

    def pair_report(self, first: int, second: int, *, seed: int = 0) -> dict[str, Any]:
        """Agreement of two judges, and the second's difference from the first, with 95% intervals."""
        pair, rng = self.pairs[first, second], np.random.default_rng(seed)
        before, after = self.judges[first].tokens, self.judges[second].tokens
        return {
            "kappa_steps": kappa(pair.steps),
            "steps": pair.steps.total(),
            "kappa_first_error": kappa(pair.firsts),
            "solutions": pair.firsts.total(),
            **self._f1_difference(first, second, rng),
            "tokens_difference": float(np.mean(after) - np.mean(before)) if before else None,
            "tokens_interval": mean_difference(before, after, rng) if before else None,
        }

    def _f1_difference(self, first: int, second: int, rng: np.random.Generator) -> dict[str, Any]:
        subsets = self._hits(first, second)
        if not subsets or any(not all(map(sum, kinds)) for kinds in subsets.values()):
            return {"f1_difference": None, "f1_interval": None}
        drawn = [paired_f1_draws(kinds, rng) for kinds in subsets.values()]
        ones, others = (mean_draws([draws[n] for draws in drawn]) for n in (0, 1))
        reports = [self.report(judge) for judge in (first, second)]
        f1s = [report.average_f1 for report in reports if report is not None and report.average_f1 is not None]
        return {"f1_difference": f1s[1] - f1s[0], "f1_interval": interval(others - ones)}

    def _hits(self, first: int, second: int) -> dict[str, tuple[Pairs, Pairs]]:
        """By subset: of erroneous and of correct solutions, how many both, one, the other, and neither got right."""
        prefix = self._prefix()
        counts: dict[str, list[list[int]]] = defaultdict(lambda: [[0] * 4, [0] * 4])
        for item in self._items:
            hits = [self._answers[judge][item.id].prediction == item.label for judge in (first, second)]
            kind = counts[subset_of(prefix + item.id)][item.label == NO_ERROR]
            kind[(not hits[0]) * 2 + (not hits[1])] += 1
        return {subset: (_pairs(error), _pairs(correct)) for subset, (error, correct) in counts.items()}


def _pairs(counts: Sequence[int]) -> Pairs:
    both, first, second, neither = counts
    return both, first, second, neither


def _add_steps(totals: JudgeTotals, judged: JudgedAlike, calls: Calls) -> None:
    table = [[0, 0], [0, 0]]
    for position, (truth, call) in enumerate(zip(judged.truths, calls, strict=True)):
        if truth is None or call is None:
            continue
        place = totals.positions[position]
        place[0] += 1
        place[1] += truth is call
        table[not truth][not call] += 1
    # A solution with a step that the judge says nothing of is left out of PRMScore, as the benchmark does.
    if judged.rated and None not in calls:
        name = judged.classification or ""
        (valid_valid, valid_invalid), (invalid_valid, invalid_invalid) = table
        counts = Counts(valid_valid, valid_invalid, invalid_valid, invalid_invalid)
        totals.counts[name] = totals.counts.get(name, Counts()) + counts


def accuracy_by_position(positions: Mapping[int, Sequence[int]]) -> list[dict[str, Any]]:
    """How often the call is right, in percent, by position (from 1), over `n` steps whose truth is known."""
    return [
        {"position": position + 1, "n": n, "accuracy": 100.0 * right / n}
        for position, (n, right) in sorted(positions.items())
    ]
