"""P(Yes) from listed log-probs: its bounds, the place of the verdict, and a reasoning part that the content lacks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from rprm_jobs.judge.verdict import MARKER
from tests.support.chat_server import tokens
from workers.engines.openai.logprobs import Token, read_p_yes


def p_yes_of(text: str, listed: Sequence[Token]) -> float | None:
    return read_p_yes(text, text, listed)


def chance(*texts: str, last: dict[str, float]) -> float | None:
    listed = [
        Token(t["token"], t["logprob"], tuple((top["token"], top["logprob"]) for top in t["top_logprobs"]))
        for t in tokens(*texts, last=last)
    ]
    return p_yes_of("".join(texts), listed)


def test_both_answers_listed_give_the_softmax_of_the_two() -> None:
    assert chance("\n", MARKER, " Yes", last={" Yes": math.log(0.6), " No": math.log(0.2)}) == pytest.approx(0.75)
    assert chance("\n", MARKER, " No", last={" Yes": math.log(0.6), " No": math.log(0.2)}) == pytest.approx(0.75)


def test_only_answers_written_as_the_sampled_one_count() -> None:
    last = {" Yes": math.log(0.6), "No": math.log(0.3), " No": math.log(0.06)}
    assert chance(MARKER, " Yes", last=last) == pytest.approx(0.6 / 0.66)
    assert chance(MARKER, " ", "Yes", last={"Yes": math.log(0.6), "No": math.log(0.3)}) == pytest.approx(2 / 3)


@pytest.mark.parametrize("mark", ["\u0120", "\u2581"])
def test_a_vocabulary_mark_stands_for_the_space(mark: str) -> None:
    listed = [
        Token(MARKER, 0.0),
        Token(
            " Yes",
            -0.1,
            (
                (f"{mark}Yes", -0.1),
                (f"{mark}No", -2.3),
            ),
        ),
    ]
    assert p_yes_of(f"{MARKER} Yes", listed) == pytest.approx(1 / (1 + math.exp(-2.2)))


def test_an_answer_in_several_tokens_is_read_at_its_first() -> None:
    listed = [
        Token(MARKER, 0.0),
        Token(
            " Y",
            -0.1,
            (
                (" Y", -0.1),
                (" N", -2.3),
            ),
        ),
        Token("es", 0.0, (("es", 0.0),)),
    ]
    assert p_yes_of(f"{MARKER} Yes", listed) == pytest.approx(1 / (1 + math.exp(-2.2)))


def test_a_missing_answer_is_bounded_by_the_least_listed() -> None:
    sure = chance(MARKER, " Yes", last={" Yes": math.log(0.99), "\n": math.log(0.004), " yes": math.log(0.002)})
    bound = 0.002 / (0.002 + 0.99)
    assert sure == pytest.approx(1 - bound / 2)
    against = chance(MARKER, " No", last={" No": math.log(0.99), "\n": math.log(0.004), " yes": math.log(0.002)})
    assert against == pytest.approx(bound / 2)


def test_a_missing_answer_is_bounded_by_what_is_left_of_one() -> None:
    assert chance(MARKER, " Yes", last={" Yes": math.log(0.999)}) == pytest.approx(1 - 0.001 / 2, abs=1e-6)


def test_too_little_told_is_no_p_yes() -> None:
    assert chance(MARKER, " Yes", last={" Yes": math.log(0.5), "\n": math.log(0.3)}) is None
    assert p_yes_of(f"{MARKER} Yes", [Token(MARKER, 0.0), Token(" Yes", -0.1)]) is None
    assert p_yes_of(f"{MARKER} Yes", []) is None
    assert chance("No verdict", last={" Yes": 0.0}) is None


def test_bytes_count_where_a_token_is_no_text() -> None:
    euro = "\u20ac".encode()
    listed = [
        Token("\ufffd", 0.0, octets=euro[:1]),
        Token("\ufffd\ufffd", 0.0, octets=euro[1:]),
        Token(MARKER, 0.0),
        Token(
            " Yes",
            -0.1,
            (
                (" Yes", -0.1),
                (" No", -2.3),
            ),
        ),
    ]
    assert p_yes_of(f"\u20ac{MARKER} Yes", listed) == pytest.approx(1 / (1 + math.exp(-2.2)))


def test_of_several_verdicts_the_last_of_the_text_is_read() -> None:
    listed = [
        Token(MARKER, 0.0),
        Token(
            " No",
            -0.1,
            (
                (" No", -0.1),
                (" Yes", -2.3),
            ),
        ),
        Token("\n", 0.0),
        Token(MARKER, 0.0),
        Token(
            " Yes",
            -0.1,
            (
                (" Yes", -0.1),
                (" No", -2.3),
            ),
        ),
    ]
    high = 1 / (1 + math.exp(-2.2))
    assert p_yes_of(f"{MARKER} No\n{MARKER} Yes", listed) == pytest.approx(high)
    assert p_yes_of(f"{MARKER} No", listed) == pytest.approx(1 - high)


def test_a_server_that_leaves_out_spaces_is_read_all_the_same() -> None:
    listed = [Token(word, 0.0) for word in MARKER.split()]
    listed.append(
        Token(
            "Yes",
            -0.1,
            (
                ("Yes", -0.1),
                ("No", -2.3),
            ),
        )
    )
    assert p_yes_of(f"{MARKER} Yes", listed) == pytest.approx(1 / (1 + math.exp(-2.2)))


def verdict(answer: str, yes: float, no: float) -> list[Token]:
    """A verdict line's tokens, with what was likely at its answer."""
    return [Token("\n", 0.0), Token(MARKER, 0.0), Token(f" {answer}", -0.1, ((" Yes", yes), (" No", no)))]


THINKING = [Token("<think>", 0.0), Token("Hm.", 0.0), *verdict("Yes", -0.1, -2.3), Token("\n</think>\n", 0.0)]
ANSWER = [Token("So.", 0.0), *verdict("No", -2.3, -0.1), Token("<|im_end|>", 0.0)]
LOW = 1 / (1 + math.exp(2.2))


def test_behind_a_reasoning_parser_p_yes_is_the_contents_own() -> None:
    """The log-probs cover reasoning and content, the text is the content alone."""
    content = f"So.\n{MARKER} No"
    assert read_p_yes(content, content, THINKING + ANSWER) == pytest.approx(LOW)
    assert read_p_yes(content, content, ANSWER) == pytest.approx(LOW)


def test_a_reasoning_that_ends_as_the_content_does_is_not_taken_for_it() -> None:
    content = f"\n{MARKER} No"
    same = [*verdict("No", -0.1, -2.3), Token("\n</think>\n", 0.0)]
    assert read_p_yes(content, content, same + verdict("No", -2.3, -0.1)) == pytest.approx(LOW)


def test_tokens_that_are_not_the_contents_are_no_p_yes() -> None:
    """The log-probs are of the reasoning alone, or of a content that the server has rewritten."""
    content = f"So.\n{MARKER} No"
    assert read_p_yes(content, content, THINKING) is None
    rewritten = f"Thus.\n{MARKER} No"
    assert read_p_yes(rewritten, rewritten, THINKING + ANSWER) is None


def test_a_verdict_of_the_content_is_read_there_although_the_text_goes_on() -> None:
    text = f"So.\n{MARKER} No"
    after = [Token("\nP.S.", 0.0), *verdict("Yes", -0.1, -2.3)]
    assert read_p_yes(text, f"{text}\nP.S.\n{MARKER} Yes", THINKING + ANSWER[:-1] + after) == pytest.approx(LOW)


def test_characters_that_tokens_split_are_left_out_of_the_comparison() -> None:
    content = f"\u20ac is 2\u00b2 \U0001f600.\n{MARKER} No"
    halves = [Token(text, 0.0) for text in ("\ufffd", "\u20ac is", " 2", "<0xC2>", "<0xB2>", " \ufffd.")]
    assert read_p_yes(content, content, halves + verdict("No", -2.3, -0.1)) == pytest.approx(LOW)
