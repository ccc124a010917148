"""What servers say of a prompt that does not fit, in their own words, and of one that they will not take."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm_jobs.errors import PromptTooLong, Refused
from tests.support.overflows import OVERFLOWS
from workers.engines.openai.fitting import Fitting
from workers.engines.openai.refusals import ErrorBody, NotTaken, Overflow, read_error, read_overflow, refusal

OUTPUT_LIMITS = (
    "max_tokens is too large: 32000. This model supports at most 4096 completion tokens, whereas you provided 32000.",
    "Invalid max_tokens value, the valid range of max_tokens is [1, 4096]",
    "`max_tokens` must be less than or equal to `4096`, the maximum value for `max_tokens` is less than the window",
    "max_tokens: 100000 > 4096, which is the maximum allowed number of output tokens for this model",
)


@pytest.mark.parametrize("name", OVERFLOWS)
def test_the_numbers_of_an_overflow(name: str) -> None:
    message, numbers = OVERFLOWS[name]
    overflow = refusal(read_error(json.dumps({"error": {"message": message}}).encode()))
    assert isinstance(overflow, Overflow)
    assert (overflow.tokens, overflow.limit, overflow.at_least) == numbers


def test_numbers_may_stand_beside_the_message() -> None:
    error = {"type": "exceed_context_size_error", "message": "too much", "n_prompt_tokens": 9000, "n_ctx": 8192}
    overflow = read_overflow(read_error(json.dumps({"error": error}).encode()))
    assert overflow is not None
    assert (overflow.tokens, overflow.limit) == (9000, 8192)


@pytest.mark.parametrize("message", OUTPUT_LIMITS)
def test_a_limit_of_the_answer_alone(message: str) -> None:
    overflow = read_overflow(ErrorBody(message))
    assert overflow is not None
    assert (overflow.output_limit, overflow.limit) == (4096, None)


@pytest.mark.parametrize(
    "message",
    ["max_tokens must be at least 1, got 0.", "Stream options can only be defined when `stream=True`.", "no logprobs"],
)
def test_another_refusal_is_no_overflow(message: str) -> None:
    assert isinstance(refusal(ErrorBody(message)), NotTaken)


@pytest.mark.parametrize(
    "error",
    [
        ErrorBody("filtered", code="content_filter"),
        ErrorBody("Your input was flagged by moderation"),
        ErrorBody("The response was filtered due to the prompt triggering Azure's content management policy."),
    ],
)
def test_a_filter_is_a_refusal_of_the_prompt(error: ErrorBody) -> None:
    failure = refusal(error)
    assert isinstance(failure, Refused)
    assert not isinstance(failure, NotTaken)
    assert error.message in str(failure)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"error": {"message": "m"}}', "m"),
        (b'{"error": "m"}', "m"),
        (b'{"error": "m", "error_type": "validation"}', "m"),
        (b'{"message": "m", "code": 400}', "m"),
        (b'{"detail": "m"}', "m"),
        (b'{"detail": [{"loc": ["body"], "msg": "m"}]}', '[{"loc":["body"],"msg":"m"}]'),
        (b"m", "m"),
        (b"", ""),
        (b"[1]", "[1]"),
    ],
)
def test_errors_are_read_in_several_spellings(raw: bytes, message: str) -> None:
    assert read_error(raw).message == message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "code", "type", "n_ctx", "n_prompt_tokens", "x"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)


@given(JSON | st.binary(max_size=40))
def test_any_error_is_read(document: Any) -> None:
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    assert isinstance(refusal(read_error(raw)), Overflow | Refused)


def fit(overflows: list[Overflow], asked: int = 4096, room: int = 64) -> list[int]:
    """The limits that are asked for, one after the other, of a prompt that meets these overflows."""
    fitting, body, limits = Fitting("n"), {"n": asked}, []
    for overflow in overflows:
        body = fitting.known("prompt", body)
        limits.append(body["n"])
        fitting.shorten("prompt", body, overflow, room)
    return [*limits, fitting.known("prompt", {"n": asked})["n"]]


def test_what_the_window_leaves_is_asked_for_and_one_less_where_that_is_refused() -> None:
    overflow = Overflow("", 5000, 8192)
    assert fit([overflow, overflow]) == [4096, 3192, 3191]


def test_where_numbers_are_missing_half_is_asked_for() -> None:
    assert fit([Overflow("")] * 3) == [4096, 2048, 1024, 512]
    assert fit([Overflow("", 4097, 8192, at_least=True)]) == [4096, 2048]
    assert fit([Overflow("", None, 1000)]) == [4096, 500]


def test_a_prompt_that_leaves_no_room_is_too_long() -> None:
    with pytest.raises(PromptTooLong, match="8130 tokens"):
        fit([Overflow("", 8130, 8192)])
    with pytest.raises(Refused, match="too long: what the server said"):
        fit([Overflow("what the server said")] * 7)


def test_another_prompt_is_asked_for_the_whole() -> None:
    fitting = Fitting("n")
    fitting.shorten("one", {"n": 4096}, Overflow(""), 64)
    assert fitting.known("other", {"n": 4096}) == {"n": 4096}
    fitting.shorten("one", {"n": 4096}, Overflow("", output_limit=1000), 64)
    assert fitting.known("other", {"n": 4096}) == {"n": 1000}
    with pytest.raises(Refused):
        fitting.shorten("one", {"n": 1000}, Overflow("", output_limit=1000), 64)
