"""Verdicts: the last one counts, anything else is unparsed; the place of a verdict among tokens; P(Yes)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm_jobs.judge.verdict import (
    MARKER,
    PARSE_RULES,
    STOP_STRINGS,
    cut_critique,
    find_verdicts,
    p_yes,
    read_verdict,
    thinking_opening,
    tokens_reaching,
    verdict_place,
)
from rprm_jobs.types import Finish, Verdict
from tests.support.endings import BODY, ENDINGS, UNOPENED, Ending

V = MARKER
# The published table of critiques: text, and the verdicts in it.
TABLE = {
    "T0": (f"A0 analysis.\n{V} Yes", ["Yes"]),
    "T1": (f"A1 analysis.\n{V} Yes.", ["Yes"]),
    "T2": (f"A2 analysis.\n{V} Yes..", ["Yes"]),
    "T3": (f"{V} No", ["No"]),
    "T4": (f"{V} No because of 3", ["No"]),
    "T5": (f"{V} Yes\n{V} No", ["Yes", "No"]),
    "T6": ("A6 analysis without an end", []),
    "T7": (f"{V} Yes\n{V} Yes", ["Yes", "Yes"]),
    "T8": (f"{V} No. ", ["No"]),
    "T9": (f"{V.lower()} yes", []),
    "T10": (f"{V} Yes, it is", ["Yes"]),
    "T11": (f"{V} **Yes**", []),
    "T12": (f"{V} Yes\n", ["Yes"]),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_verdicts_of_the_table(name: str) -> None:
    text, expected = TABLE[name]
    assert [found[1] for found in find_verdicts(text)] == expected


def test_eight_of_the_table_have_exactly_one_verdict() -> None:
    assert sum(len(find_verdicts(text)) == 1 for text, _ in TABLE.values()) == 8


@pytest.mark.parametrize(
    ("ending", "verdict"),
    [
        (f"{V} Yes", Verdict.YES),
        (f"{V} No", Verdict.NO),
        (f"{V} Yes\n{V} No", Verdict.NO),
        (f"{V} No, wait.\n{V} Yes", Verdict.YES),
        ("The question was: Is the step correct (Yes/No)? Yes", Verdict.UNPARSED),
        (f"{V} Yes/No", Verdict.UNPARSED),
        (f"{V} Yesterday", Verdict.UNPARSED),
        (f"{V} Not", Verdict.UNPARSED),
        (f"{V} No_", Verdict.UNPARSED),
        (f"{V}  Yes", Verdict.UNPARSED),
        (f"{V}Yes", Verdict.UNPARSED),
        (f"{V}\nYes", Verdict.UNPARSED),
        (f"{V} yes", Verdict.UNPARSED),
        (f"{V} YES", Verdict.UNPARSED),
        (f"{V} X", Verdict.UNPARSED),
        (f"{V} ", Verdict.UNPARSED),
        ("", Verdict.UNPARSED),
    ],
)
def test_the_last_verdict_counts_and_nothing_is_guessed(ending: str, verdict: Verdict) -> None:
    assert read_verdict(f"Some analysis.\n{ending}", Finish.STOP) is verdict


def test_a_cut_critique_is_truncated_unless_it_had_its_verdict() -> None:
    assert read_verdict("half an ana", Finish.LENGTH) is Verdict.TRUNCATED
    assert read_verdict(f"{V} No\nand then som", Finish.LENGTH) is Verdict.NO
    assert not Verdict.TRUNCATED.parsed
    assert not Verdict.UNPARSED.parsed


def test_an_answer_that_the_token_limit_cut_off_may_be_half_a_word() -> None:
    assert read_verdict(f"{V} No", Finish.LENGTH) is Verdict.TRUNCATED
    assert read_verdict(f"{V} No.", Finish.LENGTH) is Verdict.NO
    assert read_verdict(f"{V} Yes\n{V} No", Finish.LENGTH) is Verdict.YES


@pytest.mark.parametrize("ending", [*ENDINGS, *UNOPENED], ids=lambda ending: ending.name)
def test_what_is_kept_of_an_ending_and_what_it_amounts_to(ending: Ending) -> None:
    text, _ = cut_critique(f"{BODY}\n{ending.written}")
    assert text == f"{BODY}\n{ending.kept}"
    assert read_verdict(text, Finish.STOP) is ending.verdict


def test_each_stop_string_ends_a_critique() -> None:
    assert len(STOP_STRINGS) <= 4
    for stop in STOP_STRINGS:
        text, ended = cut_critique(BODY + stop)
        assert ended
        assert text == BODY + stop.removesuffix("\n")


@given(st.text(), st.sampled_from([ending.written for ending in ENDINGS]), st.text())
def test_a_critique_that_was_cut_stays_as_it_is_and_keeps_its_verdict(before: str, ending: str, after: str) -> None:
    text, ended = cut_critique(before + ending + after)
    assert (before + ending + after).startswith(text)
    assert cut_critique(text)[0] == text
    if ended:
        assert read_verdict(text, Finish.STOP).parsed
        assert cut_critique(text + "\n")[1]


def test_a_job_of_an_older_version_keeps_its_rule() -> None:
    old, new = PARSE_RULES
    assert read_verdict(f"{V} Yes or No?", Finish.STOP, old) is Verdict.YES
    assert read_verdict(f"{V} Yes or No?", Finish.STOP, new) is Verdict.UNPARSED
    assert read_verdict(f"<think>{V} Yes", Finish.STOP, old) is Verdict.YES
    assert read_verdict(f"{V} No", Finish.LENGTH, old) is Verdict.NO


@pytest.mark.parametrize(
    ("frame", "opening"),
    [
        ("<|im_start|>assistant\n", ""),
        ("<|Assistant|><think>\n", "<think>\n"),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", ""),
    ],
)
def test_a_frame_may_open_the_thinking(frame: str, opening: str) -> None:
    assert thinking_opening(frame) == opening


def test_tokens_are_counted_up_to_a_length() -> None:
    tokens = ByteTokens([b"ab", b"c", b"de"])
    assert [tokens_reaching(n, tokens.ids, tokens.decode) for n in (1, 2, 3, 4, 5, 9)] == [1, 1, 2, 3, 3, 3]


class ByteTokens:
    """A toy tokenizer whose tokens are arbitrary runs of bytes, so that one may hold half a character."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.pieces = list(pieces)
        self.decoded = 0

    @property
    def ids(self) -> list[int]:
        return list(range(len(self.pieces)))

    def decode(self, ids: Sequence[int]) -> str:
        self.decoded += len(ids)
        return b"".join(self.pieces[i] for i in ids).decode("utf-8", "replace")


def _cut(data: st.DataObject, text: bytes) -> list[bytes]:
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=20).map(sorted)) if text else []
    bounds = [0, *cuts, len(text)]
    return [text[a:b] for a, b in pairwise(bounds) if b > a]


_WRITING = st.text(alphabet="ab \n√é漢😀{}", max_size=40)


@given(before=_WRITING, answer=st.sampled_from(["Yes", "No"]), after=_WRITING, quoted=st.booleans(), data=st.data())
def test_the_verdict_is_found_among_tokens_of_any_cut(
    before: str, answer: str, after: str, quoted: bool, data: st.DataObject
) -> None:
    head = f"{V} No\n{before}\n{V}" if quoted else f"{before}\n{V}"
    tail = f"\n{after}"
    pieces = [*_cut(data, head.encode()), f" {answer}".encode(), *_cut(data, tail.encode())]
    tokens = ByteTokens(pieces)
    text = tokens.decode(tokens.ids)
    assert verdict_place(text, tokens.ids, tokens.decode) == len(_as_bytes(pieces, head.encode()))


def _as_bytes(pieces: list[bytes], head: bytes) -> list[bytes]:
    """The pieces that make up `head`."""
    taken: list[bytes] = []
    while sum(map(len, taken)) < len(head):
        taken.append(pieces[len(taken)])
    return taken


@given(before=st.binary(max_size=40), data=st.data())
def test_bytes_that_are_no_text_do_not_move_the_place(before: bytes, data: st.DataObject) -> None:
    head = before + f"\n{V}".encode()
    tokens = ByteTokens([*_cut(data, head), b" No"])
    assert verdict_place(tokens.decode(tokens.ids), tokens.ids, tokens.decode) == len(tokens.pieces) - 1


def test_a_text_cut_after_the_stop_string_has_the_same_place() -> None:
    tokens = ByteTokens([b"So.\n", V.encode(), b" Yes", b".\n\nNext", b" No"])
    whole = tokens.decode(tokens.ids)
    cut = whole[: whole.index(" Yes") + 4]
    assert verdict_place(cut, tokens.ids, tokens.decode) == 2


def test_without_a_verdict_there_is_no_place() -> None:
    tokens = ByteTokens([b"no ", b"verdict"])
    assert verdict_place(tokens.decode(tokens.ids), tokens.ids, tokens.decode) is None


def test_a_verdict_at_the_end_of_a_long_critique_costs_few_decoded_tokens() -> None:
    tokens = ByteTokens([b"word "] * 4000 + [f"\n{V}".encode(), b" Yes"])
    text = tokens.decode(tokens.ids)
    tokens.decoded = 0
    assert verdict_place(text, tokens.ids, tokens.decode) == 4001
    assert tokens.decoded < 5 * 4002


_LOGPROB = st.floats(-800, 0)


@given(yes=_LOGPROB, no=_LOGPROB)
def test_p_yes_is_the_softmax_of_two(yes: float, no: float) -> None:
    found = p_yes(yes, no)
    assert 0.0 <= found <= 1.0
    assert found + p_yes(no, yes) == pytest.approx(1.0, abs=1e-15)
    if min(yes, no) > -300:
        assert found == pytest.approx(math.exp(yes) / (math.exp(yes) + math.exp(no)), rel=1e-12)


def test_p_yes_at_the_edges() -> None:
    assert p_yes(-1.0, -1.0) == 0.5
    assert p_yes(0.0, -math.inf) == 1.0
    assert p_yes(-math.inf, 0.0) == 0.0
    assert p_yes(-1e6, 0.0) == 0.0


def test_an_answer_that_is_cut_into_other_tokens_has_no_place() -> None:
    tokens = ByteTokens([b"So.\n", V.encode(), b" Y", b"es"])
    text = tokens.decode(tokens.ids)
    assert verdict_place(text, tokens.ids, tokens.decode, (2, 9)) == 2
    assert verdict_place(text, tokens.ids, tokens.decode, (8, 9)) is None
