"""The engine behind HTTP, against a server that fails in every way."""

from __future__ import annotations

import asyncio
import time

import pytest

from rprm_jobs.errors import EngineDied, PromptTooLong, Refused, Unanswered
from rprm_jobs.judge.verdict import MARKER
from rprm_jobs.types import Sampling
from tests.support.chat_server import (
    GOOD,
    Behaviour,
    ChatServer,
    completion,
    cut,
    half,
    hang,
    reply,
    stumble_over_logprobs,
)
from tests.support.openai import run, sample_once
from tests.support.overflows import SHORTENED
from workers.engines.openai.engine import OpenaiEngine
from workers.engines.openai.retry import RetryPolicy

ERROR = {"error": {"message": "busy"}}


@pytest.mark.parametrize(
    "failure",
    [
        reply(429, ERROR),
        reply(500, ERROR),
        reply(503, b"<html>down</html>"),
        reply(408, ERROR),
        half,
        cut,
        reply(200, b'{"choices": ['),
        reply(200, {"choices": []}),
        hang,
    ],
    ids=["429", "500", "503", "408", "half an answer", "connection cut", "malformed", "empty", "hang"],
)
def test_what_may_pass_is_tried_again(failure: Behaviour) -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        assert (await sample_once(engine, server)).p_yes is not None
        assert len(server.requests) == 3

    run(test, failure, failure, timeout_s=0.3)


@pytest.mark.parametrize("failure", [reply(500, ERROR), half, hang], ids=["500", "half an answer", "hang"])
def test_a_server_that_stays_away_is_a_dead_engine_and_no_failed_item(failure: Behaviour) -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        server.default = failure
        began = time.monotonic()
        with pytest.raises(EngineDied, match="attempts in"):
            await sample_once(engine, server)
        assert time.monotonic() - began < 3

    run(test, timeout_s=0.2, policy=RetryPolicy(first_s=0.01, longest_s=0.05, deadline_s=0.5))


def test_retry_after_is_honoured() -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        began = time.monotonic()
        await sample_once(engine, server)
        assert 0.4 < time.monotonic() - began < 1.5

    run(test, reply(429, ERROR, Retry_After="0.4"))


def test_a_retry_after_beyond_the_deadline_gives_up_at_once() -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        began = time.monotonic()
        with pytest.raises(EngineDied, match="status 429"):
            await sample_once(engine, server)
        assert time.monotonic() - began < 1

    run(test, reply(429, ERROR, Retry_After="3600"))


@pytest.mark.parametrize("status", [401, 402, 403, 404, 307])
def test_what_will_not_pass_ends_the_engine_without_another_try(status: int) -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        with pytest.raises(EngineDied) as caught:
            await sample_once(engine, server)
        assert caught.value.hint
        assert len(server.requests) == 1

    run(test, reply(status, ERROR))


def test_a_prompt_over_the_window_fails_alone() -> None:
    error = {"message": "maximum context length is 2048 tokens. your prompt contains 2100 input tokens"}

    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        with pytest.raises(PromptTooLong, match="2100 tokens"):
            await sample_once(engine, server)
        assert len(server.requests) == 1
        assert (await sample_once(engine, server)).p_yes is not None

    run(test, reply(400, {"error": error}))


def test_a_critique_is_shortened_to_what_the_window_leaves() -> None:
    error = {"message": "maximum context length is 2048 tokens. you requested 2100 tokens (1980 in the messages"}

    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        await sample_once(engine, server)
        assert [r["max_tokens"] for r in server.requests] == [100, 68]

    run(test, reply(400, {"error": error}))


def test_a_filtered_prompt_is_refused() -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        with pytest.raises(Refused, match="not nice"):
            await sample_once(engine, server)

    run(test, reply(400, {"error": {"code": "content_filter", "message": "not nice"}}))


ODD_PROMPT = "judge this"
BROKEN = {**GOOD, "choices": [{**GOOD["choices"][0], "finish_reason": "error"}]}


@pytest.mark.parametrize(
    "failure",
    [reply(500, ERROR), reply(200, b"{"), reply(200, {"choices": []}), reply(200, BROKEN), half, cut],
    ids=["500", "malformed", "empty", "finish_reason error", "half an answer", "connection cut"],
)
def test_a_prompt_that_alone_is_never_answered_fails_alone(failure: Behaviour) -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        server.by_prompt = {ODD_PROMPT: failure}
        with pytest.raises(Unanswered, match=r"answers other prompts and not this one: .* \(3 attempts"):
            await sample_once(engine, server)
        (generation,) = await engine.sample(engine.encode("another"), [1], Sampling())
        assert generation.p_yes is not None
        tried = [request for request in server.requests if ODD_PROMPT in request["messages"][0]["content"]]
        assert [request.get("logprobs") for request in tried] == [True, True, True, None]

    run(test, policy=RetryPolicy(first_s=0.01, longest_s=0.02, deadline_s=60, tries=3))


def test_log_probabilities_that_the_server_stumbles_over_cost_p_yes_and_no_critique() -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        server.by_prompt = {ODD_PROMPT: stumble_over_logprobs}
        generation = await sample_once(engine, server)
        assert (generation.text, generation.p_yes) == (f"Fine.\n{MARKER} Yes", None)

    run(test, policy=RetryPolicy(first_s=0.01, longest_s=0.02, deadline_s=60, tries=3))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, {"type": "insufficient_quota", "code": "insufficient_quota", "message": "check your plan and billing"}),
        (429, {"type": "exceeded_current_quota_error", "message": "your account is suspended"}),
        (400, {"code": "billing_hard_limit_reached", "message": "billing hard limit has been reached"}),
        (403, {"code": "insufficient_balance", "message": "top up"}),
    ],
    ids=["OpenAI", "Moonshot", "OpenAI, limit", "balance"],
)
def test_an_account_without_money_ends_the_engine_at_once(status: int, error: dict[str, str]) -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        server.default = reply(status, {"error": error})
        with pytest.raises(EngineDied, match=rf"wants to be paid \(status {status}\): {error['message']}"):
            await sample_once(engine, server)
        assert len(server.requests) == 1

    run(test)


def test_a_quota_for_a_minute_is_waited_for() -> None:
    # As Gemini says it, in the words that OpenAI has for an account without money.
    minute = {"code": 429, "message": "You exceeded your current quota, please check your plan and billing details."}

    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        assert (await sample_once(engine, server)).p_yes is not None

    run(test, reply(429, {"error": minute}))


def test_a_prompt_on_which_the_server_hangs_fails_alone_at_the_deadline() -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        server.by_prompt = {ODD_PROMPT: hang}
        with pytest.raises(Unanswered, match="no whole answer within"):
            await sample_once(engine, server)

    run(test, timeout_s=0.2, policy=RetryPolicy(first_s=0.01, longest_s=0.05, deadline_s=0.5))


def test_a_server_that_fails_for_a_while_loses_no_prompt() -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        assert (await sample_once(engine, server)).p_yes is not None

    # More bad answers than tries, and bad answers to what asks whether others are answered too.
    run(test, *[reply(500, ERROR)] * 12, policy=RetryPolicy(first_s=0.01, longest_s=0.02, deadline_s=60, tries=3))


def test_a_server_that_is_overloaded_blames_no_prompt() -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        server.by_prompt = {ODD_PROMPT: reply(429, ERROR)}
        with pytest.raises(EngineDied, match="status 429"):
            await sample_once(engine, server)

    run(test, policy=RetryPolicy(first_s=0.01, longest_s=0.05, deadline_s=0.3, tries=2))


def test_a_server_that_refuses_every_prompt_is_a_dead_engine() -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        server.by_prompt = {ODD_PROMPT: reply(422, {"error": "no such field"})}
        with pytest.raises(Refused, match="no such field"):
            await sample_once(engine, server)
        server.default = reply(422, {"error": "no such field"})
        with pytest.raises(EngineDied, match="refuses every prompt"):
            await sample_once(engine, server)

    run(test)


def test_a_prompt_that_moderation_turns_down_is_refused_although_the_status_is_403() -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        with pytest.raises(Refused, match="flagged"):
            await sample_once(engine, server)

    run(test, reply(403, {"error": {"message": "Your input was flagged", "code": 403}}))


@pytest.mark.parametrize("name", SHORTENED)
def test_a_small_window_shortens_the_critique_whatever_the_server_says(name: str) -> None:
    """The server names its window in its own words; the critique gets what is left of it, or a good part of that."""
    message, tokens, limit = SHORTENED[name]
    fits = limit - tokens if tokens and limit else 3000

    async def refuse(server: ChatServer, writer: asyncio.StreamWriter) -> None:
        asked = server.requests[-1]["max_tokens"]
        answer = reply(200, GOOD) if asked <= fits else reply(400, {"error": {"message": message}})
        await answer(server, writer)

    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        server.default = refuse
        (generation,) = await engine.sample(engine.encode("x"), [1], Sampling(max_new_tokens=4096))
        assert generation.p_yes is not None
        assert fits // 2 < server.requests[-1]["max_tokens"] <= fits
        asked = len(server.requests)
        await engine.sample(engine.encode("x"), [2], Sampling(max_new_tokens=4096))
        assert len(server.requests) == asked + 1

    run(test, server=ChatServer(models={"data": [{"id": "judge"}]}))


def test_a_server_that_writes_nothing_for_want_of_room_is_asked_for_less() -> None:
    """LMDeploy answers 200 with an empty text, cut by length."""
    nothing = completion("", finish="length")
    nothing["usage"]["completion_tokens"] = 0

    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        (generation,) = await engine.sample(engine.encode("x"), [1], Sampling(max_new_tokens=1000))
        assert generation.p_yes is not None
        assert [request["max_tokens"] for request in server.requests] == [1000, 500, 250]

    run(test, reply(200, nothing), reply(200, nothing))


def test_behind_a_reasoning_parser_a_stop_in_the_thinking_is_gone_on_from() -> None:
    stopped = completion("")
    stopped["choices"][0]["message"] |= {"content": None, "reasoning_content": f"Hm.\n{MARKER} Yes\n"}

    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        assert (await sample_once(engine, server)).text == f"Fine.\n{MARKER} Yes"
        assert ["stop" in request for request in server.requests] == [True, False]
        await sample_once(engine, server)
        assert "stop" not in server.requests[-1]

    models = {"data": [{"id": "judge", "owned_by": "vllm"}]}
    run(test, reply(200, stopped), server=ChatServer(models=models))
