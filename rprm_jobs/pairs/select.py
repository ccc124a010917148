"""Which rows one labelled step gives: pairs of its critiques (DPO) or single ones (SFT), and what became of the rest.

A valid critique has exactly one verdict. Chosen are those that agree with the label and end in their verdict, rejected
are those of the other verdict; one that agrees and goes on after its verdict is on neither side (R-PRM's code).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from itertools import product
from typing import NamedTuple

from rprm_jobs.pairs.rules import PairRule, PairRules, PerStep
from rprm_jobs.pairs.summary import CritiqueSummary, VerdictForm

_PAPER_PAIRS = 2
_PAPER_SHARE = 3
_VALID = frozenset({VerdictForm.YES, VerdictForm.NO, VerdictForm.YES_AND_MORE, VerdictForm.NO_AND_MORE})


class Disposition(StrEnum):
    """What became of one critique of a labelled step."""

    CHOSEN = "chosen"
    REJECTED = "rejected"
    KEPT = "kept"
    NO_VERDICT = "no verdict"
    SEVERAL_VERDICTS = "several verdicts"
    GOES_ON = "goes on after its verdict"
    DISAGREES = "disagrees with the label"
    NOT_THE_LAST = "agrees, and is not the last to"
    REPEATED = "repeats another critique of the step"
    UNPAIRED = "in no pair"


class StepDisposition(StrEnum):
    """What became of one step; every step of every job has exactly one."""

    USED = "used"
    UNLABELLED = "no label"
    NEUTRAL = "neutral, left out"
    NOT_JUDGED = "not judged"
    NO_TEXTS = "texts not kept"
    NO_VALID = "no critique with exactly one verdict"
    ALL_AGREE = "unanimous, right"
    NONE_AGREES = "unanimous, wrong"
    NONE_ENDS = "no agreeing critique ends in its verdict"
    FILTERED = "as many as three valid critiques for each chosen one"
    LENGTHS = "no pair of like length"


class Selection(NamedTuple):
    """`rows` are (chosen k, rejected k), or (kept k, None); `dispositions` has one entry for each critique."""

    step: StepDisposition
    rows: Sequence[tuple[int, int | None]]
    dispositions: Sequence[Disposition]


class _Sides(NamedTuple):
    chosen: list[int]
    rejected: list[int]
    valid: int
    dispositions: list[Disposition]


Draw = Callable[[int, int | None], int]


def select_sft(readings: Sequence[CritiqueSummary], correct: bool, per_step: PerStep = PerStep.ALL) -> Selection:
    """The critiques of a step to imitate. Where none is kept, its disposition says what they lack."""
    sides = _sides(readings, correct)
    dispositions = [
        Disposition.KEPT
        if disposition is Disposition.CHOSEN
        else Disposition.DISAGREES
        if disposition is Disposition.REJECTED
        else disposition
        for disposition in sides.dispositions
    ]
    kept = sides.chosen[-1:] if per_step is PerStep.LAST else sides.chosen
    for k in sides.chosen[: len(sides.chosen) - len(kept)]:
        dispositions[k] = Disposition.NOT_THE_LAST
    if kept:
        return Selection(StepDisposition.USED, [(k, None) for k in kept], dispositions)
    return Selection(_unpairable(sides), (), dispositions)


def select_pairs(readings: Sequence[CritiqueSummary], correct: bool, rules: PairRules, draw: Draw) -> Selection:
    """The pairs of a step. `draw(chosen, rejected)` orders pairs at random where `distinct` has more than it may."""
    sides = _sides(readings, correct)
    if not sides.chosen or not sides.rejected:
        return Selection(_unpairable(sides), (), _unpaired(sides.dispositions, ()))
    pairs: Sequence[tuple[int, int]]
    step = StepDisposition.USED
    if rules.rule is PairRule.DISTINCT:
        pairs, dispositions = _distinct(readings, sides, rules, draw)
        step = StepDisposition.USED if pairs else StepDisposition.LENGTHS
        return Selection(step, pairs, _unpaired(dispositions, pairs))
    pairs = list(product(sides.chosen, sides.rejected))
    if rules.rule is PairRule.PAPER:
        keep = sides.valid < _PAPER_SHARE * len(sides.chosen)
        pairs, step = (pairs[:_PAPER_PAIRS], step) if keep else ([], StepDisposition.FILTERED)
    return Selection(step, pairs, _unpaired(sides.dispositions, pairs))


def _sides(readings: Sequence[CritiqueSummary], correct: bool) -> _Sides:
    agreeing, going_on = (
        (VerdictForm.YES, VerdictForm.YES_AND_MORE) if correct else (VerdictForm.NO, VerdictForm.NO_AND_MORE)
    )
    chosen: list[int] = []
    rejected: list[int] = []
    dispositions: list[Disposition] = []
    valid = 0
    for k, reading in enumerate(readings):
        form = reading.form
        valid += form in _VALID
        if form == agreeing:
            chosen.append(k)
            dispositions.append(Disposition.CHOSEN)
        elif form == going_on:
            dispositions.append(Disposition.GOES_ON)
        elif form in _VALID:
            rejected.append(k)
            dispositions.append(Disposition.REJECTED)
        else:
            dispositions.append(
                Disposition.SEVERAL_VERDICTS if form == VerdictForm.SEVERAL_VERDICTS else Disposition.NO_VERDICT
            )
    return _Sides(chosen, rejected, valid, dispositions)


def _unpairable(sides: _Sides) -> StepDisposition:
    if not sides.valid:
        return StepDisposition.NO_VALID
    if sides.chosen:
        return StepDisposition.ALL_AGREE
    return StepDisposition.NONE_AGREES if len(sides.rejected) == sides.valid else StepDisposition.NONE_ENDS


def _unpaired(dispositions: Sequence[Disposition], pairs: Sequence[tuple[int, int]]) -> list[Disposition]:
    used = {k for pair in pairs for k in pair}
    sides = (Disposition.CHOSEN, Disposition.REJECTED)
    return [
        Disposition.UNPAIRED if disposition in sides and k not in used else disposition
        for k, disposition in enumerate(dispositions)
    ]


def _distinct(
    readings: Sequence[CritiqueSummary], sides: _Sides, rules: PairRules, draw: Draw
) -> tuple[list[tuple[int, int]], list[Disposition]]:
    """As many pairs as can be made with no critique twice and lengths near enough, then `max_pairs` of them."""
    dispositions = list(sides.dispositions)
    chosen, rejected = (_by_length(readings, side, dispositions) for side in (sides.chosen, sides.rejected))
    pairs = _match(readings, chosen, rejected, rules.max_length_difference)
    if len(pairs) > rules.max_pairs:
        pairs = sorted(pairs, key=lambda pair: draw(*pair))[: rules.max_pairs]
    return pairs, dispositions


def _by_length(readings: Sequence[CritiqueSummary], side: list[int], dispositions: list[Disposition]) -> list[int]:
    """The side without critiques of the same text (marked in `dispositions`), shortest first."""
    seen: set[int] = set()
    for k in side:
        if readings[k].digest in seen:
            dispositions[k] = Disposition.REPEATED
        seen.add(readings[k].digest)
    return sorted((k for k in side if dispositions[k] is not Disposition.REPEATED), key=lambda k: readings[k].length)


def _match(
    readings: Sequence[CritiqueSummary], chosen: Sequence[int], rejected: Sequence[int], most: float
) -> list[tuple[int, int]]:
    """A largest matching of two sides in order of length: the shortest that nothing later can match is passed over."""
    pairs: list[tuple[int, int]] = []
    i = j = 0
    while i < len(chosen) and j < len(rejected):
        left, right = readings[chosen[i]].length, readings[rejected[j]].length
        if abs(left - right) <= most * max(left, right):
            pairs.append((chosen[i], rejected[j]))
            i, j = i + 1, j + 1
        elif left < right:
            i += 1
        else:
            j += 1
    return pairs
