"""Reading completions: whatever a server writes, the critique is read, or it is one of two known errors."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm_jobs.errors import Refused
from rprm_jobs.judge.verdict import MARKER
from rprm_jobs.types import Finish
from tests.support.chat_server import GOOD, completion
from workers.engines.openai.refusals import Overflow
from workers.engines.openai.reply import read_reply
from workers.engines.openai.retry import Retryable


def body(document: Any) -> bytes:
    return json.dumps(document).encode()


def test_a_critique_ends_at_its_verdict() -> None:
    reply = read_reply(body(completion(f"So.\n{MARKER} Yes.\nAnd more\n{MARKER} No", finish="length")))
    generation = reply.critique()
    assert generation.text == f"So.\n{MARKER} Yes."
    assert generation.finish is Finish.STOP
    assert generation.tokens == 7
    assert reply.prompt_tokens == 100


def test_a_cut_critique_says_so() -> None:
    assert read_reply(body(completion("So", finish="length"))).critique().finish is Finish.LENGTH


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


def changed(*path: str | int, to: Any) -> dict[str, Any]:
    """The good answer with one field changed."""
    document = json.loads(json.dumps(GOOD))
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return dict(document)


LOGPROBS = ("choices", 0, "logprobs", "content")
TOP = (*LOGPROBS, 3, "top_logprobs")


@pytest.mark.parametrize(
    "document",
    [
        changed("choices", 0, "logprobs", to=None),
        changed("choices", 0, "logprobs", to="none"),
        changed(*LOGPROBS, to=None),
        changed(*LOGPROBS, to={}),
        changed(*LOGPROBS, 3, to=None),
        changed(*LOGPROBS, 3, "token", to=5),
        changed(*TOP, to=None),
        changed(*TOP, to=7),
        changed(*TOP, 1, "logprob", to=None),
        changed(*TOP, 1, "logprob", to="-0.3"),
        changed(*TOP, 1, "logprob", to=float("nan")),
        changed(*TOP, 1, "logprob", to=float("-inf")),
        changed(*TOP, 1, "logprob", to=3.5),
        changed(*TOP, 0, "logprob", to=True),
        changed(*TOP, 0, "logprob", to=10**400),
    ],
    ids=lambda document: json.dumps(document["choices"][0]["logprobs"])[-60:],
)
def test_a_log_probability_that_is_none_costs_p_yes_and_never_the_critique(document: dict[str, Any]) -> None:
    generation = read_reply(body(document)).critique()
    assert generation.text == f"Fine.\n{MARKER} Yes"
    assert generation.p_yes is None


@pytest.mark.parametrize(
    ("document", "tokens"),
    [
        (changed("usage", to=None), 4),
        (changed("usage", "completion_tokens", to=None), 4),
        (changed("usage", "completion_tokens", to="7"), 4),
        (changed("usage", "completion_tokens", to=10**30), 4),
        (changed("usage", "completion_tokens", to=-5), 4),
        (changed("usage", to=[1]), 4),
        (changed("choices", 0, "index", to="a"), 7),
        (changed("choices", 0, "message", "content", to=[{"type": "text", "text": f"Fine.\n{MARKER} Yes"}]), 7),
        (
            changed(
                "choices",
                0,
                "message",
                "content",
                to=[{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "Fine."}, f"\n{MARKER} Yes", 5],
            ),
            7,
        ),
        (changed("choices", 0, "message", "refusal", to=None), 7),
        (changed("choices", 0, "message", "refusal", to=["x"]), 7),
        (changed("choices", 0, "message", "reasoning", to={"a": 1}), 7),
        (changed("choices", 0, "finish_reason", to="eos"), 7),
        (changed("choices", 0, "finish_reason", to={"type": "stop", "matched": 1}), 7),
        ({**GOOD, "choices": [*GOOD["choices"], {"index": 1}, 7]}, 7),
        ({**GOOD, "choices": [{"index": 1}, *GOOD["choices"]]}, 7),
        ({**GOOD, "error": None}, 7),
    ],
)
def test_other_fields_in_odd_shapes_leave_critique_and_p_yes(document: dict[str, Any], tokens: int) -> None:
    generation = read_reply(body(document)).critique()
    assert generation.text == f"Fine.\n{MARKER} Yes"
    assert generation.p_yes is not None
    assert generation.tokens == tokens


@pytest.mark.parametrize(
    "document",
    [
        changed("choices", 0, "finish_reason", to=None),
        changed("choices", 0, "finish_reason", to="error"),
        changed("choices", 0, "finish_reason", to="abort"),
        changed("choices", 0, "finish_reason", to=7),
        changed("choices", 0, to=None),
        changed("choices", to=None),
        changed("choices", to={}),
        changed("choices", 0, "message", "content", to=7),
        {"error": {"message": "upstream broke", "code": 502}},
    ],
    ids=lambda document: json.dumps(document)[-80:],
)
def test_a_broken_reply_is_asked_for_again(document: dict[str, Any]) -> None:
    with pytest.raises(Retryable) as caught:
        read_reply(body(document))
    assert caught.value.answered


def test_no_content_is_an_empty_critique() -> None:
    generation = read_reply(body(changed("choices", 0, "message", "content", to=None))).critique()
    assert (generation.text, generation.p_yes) == ("", None)


def test_a_completion_is_read_as_a_chat_completion_is() -> None:
    text = f"Fine.\n{MARKER} Yes"
    logprobs = {
        "tokens": ["Fine.", "\n", MARKER, " Yes"],
        "token_logprobs": [-0.1, None, 0.0, -0.1],
        "top_logprobs": [None, None, {}, {" Yes": -0.1, " No": -2.3}],
    }
    document = {"choices": [{"text": text, "finish_reason": "stop", "logprobs": logprobs}]}
    generation = read_reply(body(document)).critique()
    assert (generation.text, generation.tokens) == (text, 4)
    assert generation.p_yes is not None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def spoiled(draw: st.DrawFn) -> Any:
    """A good answer in which any one place holds anything."""
    document: Any = json.loads(json.dumps(GOOD))
    place, key = {"": document}, ""
    while isinstance(place[key], dict | list) and place[key] and draw(st.integers(0, 5)):  # type: ignore[index]
        place = place[key]  # type: ignore[assignment, index]
        key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))  # type: ignore[assignment]
    place[key] = draw(JSON)
    return document


@given(spoiled() | JSON)
def test_any_json_is_a_reply_or_a_known_error(document: Any) -> None:
    with contextlib.suppress(Retryable, Refused, Overflow):
        reply = read_reply(json.dumps(document).encode())
        assert isinstance(reply.stopped_in_thinking(), bool)
        assert reply.free_text(("\n",)).p_yes is None
        generation = reply.critique()
        assert generation.p_yes is None or 0 <= generation.p_yes <= 1
        assert 0 <= generation.tokens < 2**31


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"error": {"message": "maximum context length is 10 tokens. your prompt has 12 input tokens"}}, Overflow),
        ({"object": "error", "message": "maximum context length is 10 tokens", "code": 400}, Overflow),
        ({"error": {"message": "Your input was flagged", "code": 403}}, Refused),
        ({"error": {"message": "no provider is available"}}, Retryable),
        ({"error": [1], "choices": []}, Retryable),
    ],
)
def test_an_error_that_comes_with_a_status_of_success(document: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        read_reply(body(document))


@given(st.binary(max_size=60))
def test_any_bytes_are_a_known_error(raw: bytes) -> None:
    with pytest.raises((Retryable, Refused)):
        read_reply(raw)


def test_json_that_is_nested_too_deep_is_a_known_error() -> None:
    with pytest.raises(Retryable):
        read_reply(b'{"choices":' + b"[" * 100_000)
