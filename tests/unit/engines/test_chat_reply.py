"""Reading completions: P(Yes) from top log-probs with its bounds, stops, refusals, and errors in several spellings."""

import json
import math
from typing import Any

import pytest

from rprm_jobs.errors import PromptTooLong, Refused
from rprm_jobs.judge.verdict import MARKER
from rprm_jobs.types import Finish
from tests.support.chat_server import completion, tokens
from workers.engines.openai.reply import ErrorBody, Token, TopToken, read_error, read_p_yes, read_reply, refusal
from workers.engines.openai.retry import Retryable


def chance(*texts: str, last: dict[str, float]) -> float | None:
    made = [
        Token(t["token"], t["logprob"], None, [TopToken(**top) for top in t["top_logprobs"]])
        for t in tokens(*texts, last=last)
    ]
    return read_p_yes("".join(texts), made)


def test_both_answers_listed_give_the_softmax_of_the_two() -> None:
    assert chance("\n", MARKER, " Yes", last={" Yes": math.log(0.6), " No": math.log(0.2)}) == pytest.approx(0.75)
    assert chance("\n", MARKER, " No", last={" Yes": math.log(0.6), " No": math.log(0.2)}) == pytest.approx(0.75)


def test_only_answers_written_as_the_sampled_one_count() -> None:
    last = {" Yes": math.log(0.6), "No": math.log(0.3), " No": math.log(0.06)}
    assert chance(MARKER, " Yes", last=last) == pytest.approx(0.6 / 0.66)
    assert chance(MARKER, " ", "Yes", last={"Yes": math.log(0.6), "No": math.log(0.3)}) == pytest.approx(2 / 3)


@pytest.mark.parametrize("mark", ["\u0120", "\u2581"])
def test_a_vocabulary_mark_stands_for_the_space(mark: str) -> None:
    made = [Token(MARKER, 0.0), Token(" Yes", -0.1, None, [TopToken(f"{mark}Yes", -0.1), TopToken(f"{mark}No", -2.3)])]
    assert read_p_yes(f"{MARKER} Yes", made) == pytest.approx(1 / (1 + math.exp(-2.2)))


def test_an_answer_in_several_tokens_is_read_at_its_first() -> None:
    made = [
        Token(MARKER, 0.0),
        Token(" Y", -0.1, None, [TopToken(" Y", -0.1), TopToken(" N", -2.3)]),
        Token("es", 0.0, None, [TopToken("es", 0.0)]),
    ]
    assert read_p_yes(f"{MARKER} Yes", made) == pytest.approx(1 / (1 + math.exp(-2.2)))


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
    assert read_p_yes(f"{MARKER} Yes", [Token(MARKER, 0.0), Token(" Yes", -0.1)]) is None
    assert read_p_yes(f"{MARKER} Yes", []) is None
    assert chance("No verdict", last={" Yes": 0.0}) is None


def test_bytes_count_where_a_token_is_no_text() -> None:
    euro = "\u20ac".encode()
    made = [
        Token("\ufffd", 0.0, list(euro[:1])),
        Token("\ufffd\ufffd", 0.0, list(euro[1:])),
        Token(MARKER, 0.0),
        Token(" Yes", -0.1, None, [TopToken(" Yes", -0.1), TopToken(" No", -2.3)]),
    ]
    assert read_p_yes(f"\u20ac{MARKER} Yes", made) == pytest.approx(1 / (1 + math.exp(-2.2)))


def test_of_several_verdicts_the_last_of_the_text_is_read() -> None:
    made = [
        Token(MARKER, 0.0),
        Token(" No", -0.1, None, [TopToken(" No", -0.1), TopToken(" Yes", -2.3)]),
        Token("\n", 0.0),
        Token(MARKER, 0.0),
        Token(" Yes", -0.1, None, [TopToken(" Yes", -0.1), TopToken(" No", -2.3)]),
    ]
    high = 1 / (1 + math.exp(-2.2))
    assert read_p_yes(f"{MARKER} No\n{MARKER} Yes", made) == pytest.approx(high)
    assert read_p_yes(f"{MARKER} No", made) == pytest.approx(1 - high)


def test_a_server_that_leaves_out_spaces_is_read_all_the_same() -> None:
    made = [Token(word, 0.0) for word in MARKER.split()]
    made.append(Token("Yes", -0.1, None, [TopToken("Yes", -0.1), TopToken("No", -2.3)]))
    assert read_p_yes(f"{MARKER} Yes", made) == pytest.approx(1 / (1 + math.exp(-2.2)))


def body(document: Any) -> bytes:
    return json.dumps(document).encode()


def test_a_critique_ends_at_its_verdict() -> None:
    generation, usage = read_reply(body(completion(f"So.\n{MARKER} Yes.\nAnd more\n{MARKER} No")))
    assert generation.text == f"So.\n{MARKER} Yes"
    assert generation.finish is Finish.STOP
    assert generation.tokens == 7
    assert usage.prompt_tokens == 100


def test_a_cut_critique_says_so() -> None:
    assert read_reply(body(completion("So", finish="length")))[0].finish is Finish.LENGTH


@pytest.mark.parametrize("raw", [b"", b"{", b"null", b'{"choices": []}', b'{"choices": 5}', b"\xff\xfe", b"<html>"])
def test_what_is_no_completion_may_be_asked_again(raw: bytes) -> None:
    with pytest.raises(Retryable):
        read_reply(raw)


def test_a_filtered_critique_is_refused() -> None:
    with pytest.raises(Refused, match="content filter"):
        read_reply(body(completion("", finish="content_filter")))
    document = completion("")
    document["choices"][0]["message"]["refusal"] = "I cannot."
    with pytest.raises(Refused, match="I cannot"):
        read_reply(body(document))


@pytest.mark.parametrize(
    "error",
    [
        {
            "message": "This model's maximum context length is 8192 tokens. However, your prompt contains at least "
            "9000 input tokens, which exceeds this limit even without any output tokens.",
            "code": 400,
        },
        {
            "message": "This model's maximum context length is 8192 tokens. However, you requested 13096 tokens "
            "(9000 in the messages, 4096 in the completion).",
            "code": "context_length_exceeded",
        },
        {
            "message": "the request exceeds the available context size",
            "type": "exceed_context_size_error",
            "n_prompt_tokens": 9000,
            "n_ctx": 8192,
        },
    ],
    ids=["vllm", "openai", "llama.cpp"],
)
def test_a_prompt_over_the_window_names_its_numbers(error: dict[str, Any]) -> None:
    failure = refusal(read_error(body({"error": error})), 64)
    assert isinstance(failure, PromptTooLong)
    assert (failure.tokens, failure.limit) == (9000, 8192)


def test_a_long_prompt_without_numbers_is_refused_in_the_servers_words() -> None:
    failure = refusal(ErrorBody("prompt is too long"), 64)
    assert isinstance(failure, Refused)
    assert "prompt is too long" in str(failure)


def test_a_content_policy_is_a_refusal() -> None:
    assert "filtered" in str(refusal(ErrorBody("filtered", code="content_filter"), 64))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"error": {"message": "m"}}', "m"),
        (b'{"error": "m"}', "m"),
        (b'{"message": "m", "code": 400}', "m"),
        (b"m", "m"),
        (b"", ""),
        (b"[1]", "[1]"),
    ],
)
def test_errors_are_read_in_several_spellings(raw: bytes, message: str) -> None:
    assert read_error(raw).message == message
