"""Which rows one labelled step gives: pairs of its critiques (DPO) or single ones (SFT), and what became of the rest.

A valid critique has exactly one verdict. Chosen are those that agree with the label and end in their verdict, rejected
are those of the other verdict; one that agrees and goes on after its verdict is on neither side (R-PRM's code).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from itertools import product
from typing import NamedTuple

from rprm_jobs.pairs.reading import Form, Reading
from rprm_jobs.pairs.rules import PairRule, PairRules

_PAPER_PAIRS = 2
_PAPER_SHARE = 3
_VALID = frozenset({Form.YES, Form.NO, Form.YES_AND_MORE, Form.NO_AND_MORE})


class Fate(StrEnum):
    """What became of one critique of a labelled step."""

    CHOSEN = "chosen"
    REJECTED = "rejected"
    KEPT = "kept"
    NO_VERDICT = "no verdict"
    SEVERAL_VERDICTS = "several verdicts"
    GOES_ON = "goes on after its verdict"
    DISAGREES = "disagrees with the label"
    REPEATED = "repeats another critique of the step"
    UNPAIRED = "in no pair"


class StepFate(StrEnum):
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
    """`rows` are (chosen k, rejected k), or (kept k, None); `fates` has one entry for each critique."""

    step: StepFate
    rows: Sequence[tuple[int, int | None]]
    fates: Sequence[Fate]


class _Sides(NamedTuple):
    chosen: list[int]
    rejected: list[int]
    valid: int
    fates: list[Fate]


Draw = Callable[[int, int | None], int]


def select_sft(readings: Sequence[Reading], correct: bool) -> Selection:
    """The critiques of a step to imitate. Where none is kept, the step's fate says what they lack."""
    sides = _sides(readings, correct)
    fates = [
        Fate.KEPT if fate is Fate.CHOSEN else Fate.DISAGREES if fate is Fate.REJECTED else fate for fate in sides.fates
    ]
    if sides.chosen:
        return Selection(StepFate.USED, [(k, None) for k in sides.chosen], fates)
    return Selection(_unpairable(sides), (), fates)


def select_pairs(readings: Sequence[Reading], correct: bool, rules: PairRules, draw: Draw) -> Selection:
    """The pairs of a step. `draw(chosen, rejected)` orders pairs at random where `distinct` has more than it may."""
    sides = _sides(readings, correct)
    if not sides.chosen or not sides.rejected:
        return Selection(_unpairable(sides), (), _unpaired(sides.fates, ()))
    pairs: Sequence[tuple[int, int]]
    step = StepFate.USED
    if rules.rule is PairRule.DISTINCT:
        pairs, fates = _distinct(readings, sides, rules, draw)
        step = StepFate.USED if pairs else StepFate.LENGTHS
        return Selection(step, pairs, _unpaired(fates, pairs))
    pairs = list(product(sides.chosen, sides.rejected))
    if rules.rule is PairRule.PAPER:
        keep = sides.valid < _PAPER_SHARE * len(sides.chosen)
        pairs, step = (pairs[:_PAPER_PAIRS], step) if keep else ([], StepFate.FILTERED)
    return Selection(step, pairs, _unpaired(sides.fates, pairs))


def _sides(readings: Sequence[Reading], correct: bool) -> _Sides:
    agreeing, going_on = (Form.YES, Form.YES_AND_MORE) if correct else (Form.NO, Form.NO_AND_MORE)
    chosen: list[int] = []
    rejected: list[int] = []
    fates: list[Fate] = []
    valid = 0
    for k, reading in enumerate(readings):
        form = reading.form
        valid += form in _VALID
        if form == agreeing:
            chosen.append(k)
            fates.append(Fate.CHOSEN)
        elif form == going_on:
            fates.append(Fate.GOES_ON)
        elif form in _VALID:
            rejected.append(k)
            fates.append(Fate.REJECTED)
        else:
            fates.append(Fate.SEVERAL_VERDICTS if form == Form.SEVERAL_VERDICTS else Fate.NO_VERDICT)
    return _Sides(chosen, rejected, valid, fates)


def _unpairable(sides: _Sides) -> StepFate:
    if not sides.valid:
        return StepFate.NO_VALID
    if sides.chosen:
        return StepFate.ALL_AGREE
    return StepFate.NONE_AGREES if len(sides.rejected) == sides.valid else StepFate.NONE_ENDS


def _unpaired(fates: Sequence[Fate], pairs: Sequence[tuple[int, int]]) -> list[Fate]:
    used = {k for pair in pairs for k in pair}
    return [
        Fate.UNPAIRED if fate in (Fate.CHOSEN, Fate.REJECTED) and k not in used else fate
        for k, fate in enumerate(fates)
    ]


def _distinct(
    readings: Sequence[Reading], sides: _Sides, rules: PairRules, draw: Draw
) -> tuple[list[tuple[int, int]], list[Fate]]:
    """As many pairs as can be made with no critique twice and lengths near enough, then `max_pairs` of them."""
    fates = list(sides.fates)
    chosen, rejected = (_by_length(readings, side, fates) for side in (sides.chosen, sides.rejected))
    pairs = _match(readings, chosen, rejected, rules.max_length_difference)
    if len(pairs) > rules.max_pairs:
        pairs = sorted(pairs, key=lambda pair: draw(*pair))[: rules.max_pairs]
    return pairs, fates


def _by_length(readings: Sequence[Reading], side: list[int], fates: list[Fate]) -> list[int]:
    """The side without critiques of the same text (marked in `fates`), shortest first."""
    seen: set[int] = set()
    for k in side:
        if readings[k].digest in seen:
            fates[k] = Fate.REPEATED
        seen.add(readings[k].digest)
    return sorted((k for k in side if fates[k] is not Fate.REPEATED), key=lambda k: readings[k].length)


def _match(
    readings: Sequence[Reading], chosen: Sequence[int], rejected: Sequence[int], most: float
) -> list[tuple[int, int]]:
    """A largest matching of two sides in order of length: the shortest that nothing later can match is passed over."""
    pairs: list[tuple[int, int]] = []
    i = j = 0
    while i < len(chosen) and j < len(rejected):
        one, other = readings[chosen[i]].length, readings[rejected[j]].length
        if abs(one - other) <= most * max(one, other):
            pairs.append((chosen[i], rejected[j]))
            i, j = i + 1, j + 1
        elif one < other:
            i += 1
        else:
            j += 1
    return pairs
