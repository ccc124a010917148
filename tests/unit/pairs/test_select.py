"""Which pairs and single critiques a step gives: the published rules exactly, and `distinct` at its best."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm_jobs.pairs.rules import PairRule, PairRules, PerStep
from rprm_jobs.pairs.select import Disposition, Selection, StepDisposition, select_pairs, select_sft
from rprm_jobs.pairs.summary import CritiqueSummary, VerdictForm
from tests.support.critiques import T, reading, readings

ALL, PAPER = PairRules(rule=PairRule.ALL), PairRules(rule=PairRule.PAPER)


def draw(chosen: int, rejected: int | None) -> int:
    return hash((chosen, rejected, "seed"))


def pairs(group: Sequence[CritiqueSummary], correct: bool, rules: PairRules) -> Selection:
    return select_pairs(group, correct, rules, draw)


@pytest.mark.parametrize(("correct", "kept"), [(True, [0, 1, 2, 12]), (False, [3])])
def test_sft_keeps_of_the_thirteen(correct: bool, kept: list[int]) -> None:
    found = select_sft(readings(*T), correct)
    assert (found.step, list(found.rows)) == (StepDisposition.USED, [(k, None) for k in kept])


def test_all_pairs_of_the_thirteen() -> None:
    found = pairs(readings(*T), True, ALL)
    assert found.step is StepDisposition.USED
    assert set(found.rows) == set(product([0, 1, 2, 12], [3, 4, 8]))
    assert len(found.rows) == 12
    assert [disposition.value for disposition in found.dispositions] == [
        "chosen", "chosen", "chosen", "rejected", "rejected", "several verdicts", "no verdict", "several verdicts",
        "rejected", "no verdict", "goes on after its verdict", "no verdict", "chosen",
    ]  # fmt: skip
    wrong = pairs(readings(*T), False, ALL)
    assert set(wrong.rows) == set(product([3], [0, 1, 2, 10, 12]))


def test_the_papers_filter_on_the_thirteen() -> None:
    # Eight valid, four chosen: 8 < 3 x 4.
    found = pairs(readings(*T), True, PAPER)
    assert found.rows == [(0, 3), (0, 4)]
    assert [k for k, disposition in enumerate(found.dispositions) if disposition is Disposition.UNPAIRED] == [
        1,
        2,
        8,
        12,
    ]
    # Eight valid, one chosen: not 8 < 3.
    assert pairs(readings(*T), False, PAPER)[:2] == (StepDisposition.FILTERED, [])


@pytest.mark.parametrize(("n_chosen", "n_valid", "n_pairs"), [(1, 2, 1), (1, 3, 0), (2, 5, 2), (2, 6, 0), (3, 4, 2)])
def test_the_papers_filter_at_its_bound(n_chosen: int, n_valid: int, n_pairs: int) -> None:
    group = [reading(VerdictForm.YES) for _ in range(n_chosen)] + [
        reading(VerdictForm.NO) for _ in range(n_valid - n_chosen)
    ]
    assert len(pairs(group, True, PAPER).rows) == n_pairs


@pytest.mark.parametrize(
    ("forms", "step"),
    [
        ([VerdictForm.YES, VerdictForm.YES], StepDisposition.ALL_AGREE),
        ([VerdictForm.YES, VerdictForm.YES_AND_MORE], StepDisposition.ALL_AGREE),
        ([VerdictForm.NO, VerdictForm.NO_AND_MORE], StepDisposition.NONE_AGREES),
        ([VerdictForm.YES_AND_MORE, VerdictForm.NO], StepDisposition.NONE_ENDS),
        ([VerdictForm.YES_AND_MORE], StepDisposition.NONE_ENDS),
        ([VerdictForm.NO_VERDICT, VerdictForm.SEVERAL_VERDICTS], StepDisposition.NO_VALID),
    ],
)
@pytest.mark.parametrize("rule", list(PairRule))
def test_why_a_step_gives_no_pair(forms: list[VerdictForm], step: StepDisposition, rule: PairRule) -> None:
    found = pairs([reading(form) for form in forms], True, PairRules(rule=rule))
    assert (found.step, list(found.rows)) == (step, [])
    assert not {Disposition.CHOSEN, Disposition.REJECTED} & set(found.dispositions)


def test_sft_says_why_a_step_gives_nothing() -> None:
    found = select_sft(
        [reading(VerdictForm.NO), reading(VerdictForm.YES_AND_MORE), reading(VerdictForm.NO_VERDICT)], True
    )
    assert found.step is StepDisposition.NONE_ENDS
    assert found.dispositions == [Disposition.DISAGREES, Disposition.GOES_ON, Disposition.NO_VERDICT]


def test_sft_keeps_all_that_agree_or_the_last_of_them() -> None:
    group = [reading(VerdictForm.YES, n) for n in range(3)] + [reading(VerdictForm.NO)]
    assert select_sft(group, True).rows == [(0, None), (1, None), (2, None)]
    last = select_sft(group, True, PerStep.LAST)
    assert last.rows == [(2, None)]
    assert last.dispositions == [
        Disposition.NOT_THE_LAST, Disposition.NOT_THE_LAST, Disposition.KEPT, Disposition.DISAGREES,
    ]  # fmt: skip
    nothing = select_sft(group[3:], True, PerStep.LAST)
    assert (nothing.step, nothing.rows) == (StepDisposition.NONE_AGREES, ())


FORM = st.sampled_from(list(VerdictForm))
GROUPS = st.lists(st.builds(reading, FORM, st.integers(0, 300), st.integers(0, 5)), max_size=7)
DISTINCT = st.builds(
    PairRules, max_pairs=st.integers(1, 3), max_length_difference=st.sampled_from([0.01, 0.2, 0.5, 1.0])
)


@given(GROUPS, st.booleans(), DISTINCT)
def test_distinct_reuses_no_critique_and_keeps_its_bounds(
    group: list[CritiqueSummary], correct: bool, rules: PairRules
) -> None:
    found = pairs(group, correct, rules)
    used = [k for pair in found.rows for k in pair]
    assert len(used) == len(set(used))
    for side in (0, 1):
        texts = [group[pair[side] or 0].digest for pair in found.rows]
        assert len(texts) == len(set(texts))
    assert len(found.rows) <= rules.max_pairs
    assert set(found.rows) <= set(pairs(group, correct, ALL).rows)
    for chosen, rejected in found.rows:
        one, other = group[chosen].length, group[rejected or 0].length
        assert abs(one - other) <= rules.max_length_difference * max(one, other)
    assert len(found.dispositions) == len(group)
    assert sorted(
        k
        for k, disposition in enumerate(found.dispositions)
        if disposition in (Disposition.CHOSEN, Disposition.REJECTED)
    ) == sorted(used)


def largest(allowed: set[tuple[int, int]]) -> int:
    """The size of a largest set of pairs that share nothing, by trying them all."""
    if not allowed:
        return 0
    chosen, rejected = next(iter(allowed))
    rest = allowed - {(chosen, rejected)}
    apart = {(c, r) for c, r in rest if c != chosen and r != rejected}
    return max(1 + largest(apart), largest(rest))


@given(
    st.lists(st.builds(reading, st.sampled_from([VerdictForm.YES, VerdictForm.NO]), st.integers(0, 60)), max_size=7),
    st.sampled_from([0.05, 0.3, 0.5]),
)
def test_distinct_finds_as_many_pairs_as_there_can_be(group: list[CritiqueSummary], most: float) -> None:
    rules = PairRules(max_pairs=99, max_length_difference=most)
    allowed = {
        (c, r)
        for c, r in product(range(len(group)), repeat=2)
        if (group[c].form, group[r].form) == (VerdictForm.YES, VerdictForm.NO)
        and abs(group[c].length - group[r].length) <= most * max(group[c].length, group[r].length)
    }
    assert len(pairs(group, True, rules).rows) == largest(allowed)


def test_distinct_leaves_repeated_texts_out_and_says_so() -> None:
    group = [
        reading(VerdictForm.YES, digest=7),
        reading(VerdictForm.YES, digest=7),
        reading(VerdictForm.NO),
        reading(VerdictForm.NO),
    ]
    found = pairs(group, True, PairRules(max_pairs=9))
    assert len(found.rows) == 1
    assert found.dispositions[:2] == [Disposition.CHOSEN, Disposition.REPEATED]
    assert set(found.dispositions[2:]) == {Disposition.REJECTED, Disposition.UNPAIRED}


def test_distinct_says_when_only_the_lengths_forbid() -> None:
    group = [reading(VerdictForm.YES, 10), reading(VerdictForm.NO, 100)]
    assert pairs(group, True, PairRules(max_length_difference=0.5)).step is StepDisposition.LENGTHS
    assert pairs(group, True, PairRules(max_length_difference=0.9)).step is StepDisposition.USED


def test_the_draw_decides_which_pairs_stay() -> None:
    group = [reading(VerdictForm.YES) for _ in range(6)] + [reading(VerdictForm.NO) for _ in range(6)]
    rules = PairRules(max_pairs=2)
    kept = {tuple(select_pairs(group, True, rules, lambda c, _, n=n: (c * 7 + n) % 6).rows) for n in range(6)}
    assert len(kept) > 1
