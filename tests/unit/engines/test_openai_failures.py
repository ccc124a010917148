"""The engine behind HTTP, against a server that fails in every way."""

from __future__ import annotations

import time

import pytest

from rprm_jobs.errors import EngineDied, PromptTooLong, Refused
from tests.support.chat_server import Behaviour, ChatServer, cut, half, hang, reply
from tests.support.openai import one, run
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
        assert (await one(engine, server)).p_yes is not None
        assert len(server.requests) == 3

    run(test, failure, failure, timeout_s=0.3)


@pytest.mark.parametrize("failure", [reply(500, ERROR), half, hang], ids=["500", "half an answer", "hang"])
def test_a_server_that_stays_away_is_a_dead_engine_and_no_failed_item(failure: Behaviour) -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        server.default = failure
        began = time.monotonic()
        with pytest.raises(EngineDied, match="attempts in"):
            await one(engine, server)
        assert time.monotonic() - began < 3

    run(test, timeout_s=0.2, policy=RetryPolicy(first_s=0.01, longest_s=0.05, deadline_s=0.5))


def test_retry_after_is_honoured() -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        began = time.monotonic()
        await one(engine, server)
        assert 0.4 < time.monotonic() - began < 1.5

    run(test, reply(429, ERROR, Retry_After="0.4"))


def test_a_retry_after_beyond_the_deadline_gives_up_at_once() -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        began = time.monotonic()
        with pytest.raises(EngineDied, match="status 429"):
            await one(engine, server)
        assert time.monotonic() - began < 1

    run(test, reply(429, ERROR, Retry_After="3600"))


@pytest.mark.parametrize("status", [401, 403, 404, 307])
def test_what_will_not_pass_ends_the_engine_without_another_try(status: int) -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        with pytest.raises(EngineDied) as caught:
            await one(engine, server)
        assert caught.value.hint
        assert len(server.requests) == 1

    run(test, reply(status, ERROR))


def test_a_prompt_over_the_window_fails_alone() -> None:
    error = {"message": "maximum context length is 2048 tokens. your prompt contains 2100 input tokens"}

    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        with pytest.raises(PromptTooLong, match="2100 tokens"):
            await one(engine, server)
        assert len(server.requests) == 1
        assert (await one(engine, server)).p_yes is not None

    run(test, reply(400, {"error": error}))


def test_a_critique_is_shortened_to_what_the_window_leaves() -> None:
    error = {"message": "maximum context length is 2048 tokens. you requested 2100 tokens (1980 in the messages"}

    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        await one(engine, server)
        assert [r["max_tokens"] for r in server.requests] == [100, 68]

    run(test, reply(400, {"error": error}))


def test_a_filtered_prompt_is_refused() -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        with pytest.raises(Refused, match="not nice"):
            await one(engine, server)

    run(test, reply(400, {"error": {"code": "content_filter", "message": "not nice"}}))
