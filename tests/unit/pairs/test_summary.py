"""How a critique is read for training: one verdict, and whether the text ends in it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm_jobs.judge.verdict import MARKER, find_verdicts
from rprm_jobs.pairs.summary import (
    READING_RULE,
    VerdictForm,
    pack_readings,
    read_critique,
    read_steps,
    unpack_readings,
    verdict_form_of,
)
from tests.support.critiques import T

FORMS = [
    VerdictForm.YES,
    VerdictForm.YES,
    VerdictForm.YES,
    VerdictForm.NO,
    VerdictForm.NO_AND_MORE,
    VerdictForm.SEVERAL_VERDICTS,
    VerdictForm.NO_VERDICT,
    VerdictForm.SEVERAL_VERDICTS,
    VerdictForm.NO_AND_MORE,
    VerdictForm.NO_VERDICT,
    VerdictForm.YES_AND_MORE,
    VerdictForm.NO_VERDICT,
    VerdictForm.YES,
]


@pytest.mark.parametrize("number", range(13))
def test_the_published_filter_reads_each_critique_so(number: int) -> None:
    assert verdict_form_of(T[number]) is FORMS[number]


def test_eight_of_the_thirteen_are_valid() -> None:
    valid = {VerdictForm.YES, VerdictForm.NO, VerdictForm.YES_AND_MORE, VerdictForm.NO_AND_MORE}
    assert [i for i, text in enumerate(T) if verdict_form_of(text) in valid] == [0, 1, 2, 3, 4, 8, 10, 12]


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("", VerdictForm.NO_VERDICT),
        (f"{MARKER} Yes \n\t ", VerdictForm.YES),
        (f"{MARKER} Yes\n.", VerdictForm.YES),
        (f"{MARKER} Yes.\n", VerdictForm.YES_AND_MORE),
        (f"{MARKER} Yes!", VerdictForm.YES_AND_MORE),
        (f"{MARKER} Yes/No", VerdictForm.NO_VERDICT),
        (f"{MARKER} Nonsense", VerdictForm.NO_VERDICT),
        (f'It ends in "{MARKER} Yes", I think.\n{MARKER} No', VerdictForm.SEVERAL_VERDICTS),
    ],
)
def test_other_endings(text: str, form: VerdictForm) -> None:
    assert verdict_form_of(text) is form


@given(st.text(), st.sampled_from([f"{MARKER} Yes", f"{MARKER} No"]), st.text())
def test_only_a_text_with_one_verdict_is_valid(before: str, verdict: str, after: str) -> None:
    text = before + verdict + after
    one = len(find_verdicts(text)) == 1
    assert one == (verdict_form_of(text) not in (VerdictForm.NO_VERDICT, VerdictForm.SEVERAL_VERDICTS))


def test_readings_come_back_as_they_were_packed() -> None:
    found = read_steps([["a", T[0]], None, [], ["ä\ud800 lone surrogate"]])
    assert unpack_readings(pack_readings(found)) == found
    assert found[1] is None
    assert found[0] is not None
    assert [r.length for r in found[0]] == [1, len(T[0])]
    assert read_critique(T[0]) == found[0][1]
    assert read_critique(T[0]).digest != read_critique(T[1]).digest


def test_readings_of_another_rule_are_not_trusted() -> None:
    packed = msgspec.msgpack.encode([READING_RULE + 1, [[[int(VerdictForm.YES), 3, 7]]]])
    assert unpack_readings(packed) is None
