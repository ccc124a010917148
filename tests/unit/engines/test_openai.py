"""The engine behind HTTP, against a server that answers well and one that fails in every way."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rprm_jobs.errors import ConfigError, EngineDied, EngineError, PromptTooLong, Refused
from rprm_jobs.judge.prompt import PromptTemplate
from rprm_jobs.judge.resolve import Judge
from rprm_jobs.judge.verdict import MARKER, find_verdicts
from rprm_jobs.types import Finish, Sampling
from tests.support.chat_server import GOOD, Behaviour, ChatServer, completion, cut, half, hang, reply
from tests.support.injections import INJECTIONS
from workers.engines import create_engine
from workers.engines.openai import OpenaiEngine
from workers.engines.openai_options import KEY_VARIABLE, OpenaiOptions
from workers.engines.retry import RetryPolicy

JUDGE = Judge("judge", "org/judge", None, PromptTemplate.default(), Sampling(), "0" * 64)
KEY = "sk-very-secret-0123456789"
FAST = RetryPolicy(first_s=0.01, longest_s=0.05, deadline_s=2.0)
ERROR = {"error": {"message": "busy"}}


def run(
    test: Callable[[OpenaiEngine, ChatServer], Awaitable[Any]],
    *behaviours: Behaviour,
    policy: RetryPolicy = FAST,
    server: ChatServer | None = None,
    **options: Any,
) -> Any:
    """Start engine and server, let the trial request through, then queue `behaviours` and run `test`."""

    async def main() -> Any:
        async with server or ChatServer() as running:
            engine = OpenaiEngine(JUDGE, OpenaiOptions(base_url=running.url, **options), policy)
            await engine.start()
            running.requests.clear()
            running.behaviours.extend(behaviours)
            try:
                return await test(engine, running)
            finally:
                await engine.close()

    return asyncio.run(main())


async def one(engine: OpenaiEngine, _: ChatServer) -> Any:
    (generation,) = await engine.sample(engine.encode("judge this"), [7], Sampling(max_new_tokens=100))
    return generation


def test_a_good_answer() -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        generation = await one(engine, server)
        assert generation.text == f"Fine.\n{MARKER} Yes"
        assert generation.finish is Finish.STOP
        assert generation.p_yes == pytest.approx(1 / (1 + math.exp(-2.2)))
        (request,) = server.requests
        assert request["model"] == "judge"
        assert request["messages"] == [{"role": "user", "content": "judge this"}]
        assert request["max_tokens"] == 100
        assert request["seed"] == 7
        assert request["top_logprobs"] == 20
        assert "stop" not in request
        assert engine.stats().generated_tokens == 14

    run(test)


def test_each_seed_is_a_request_and_answers_keep_their_order() -> None:
    answered = iter(range(100))

    async def echo(server: ChatServer, writer: asyncio.StreamWriter) -> None:
        seed = server.requests[next(answered)]["seed"]
        await asyncio.sleep(0.02 * (3 - seed % 3))
        await reply(200, completion(f"seed {seed}"))(server, writer)

    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        server.default = echo
        made = await engine.sample(engine.encode("x"), [2**40 + 1, 2, 3], Sampling())
        assert [g.text for g in made] == ["seed 1", "seed 2", "seed 3"]

    run(test)


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
        assert caught.value.mend
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


def test_without_logprobs_there_is_no_p_yes() -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        generation = await one(engine, server)
        assert find_verdicts(generation.text)
        assert generation.p_yes is None
        assert "logprobs" not in server.requests[0]

    run(test, reply(200, completion(f"\n{MARKER} No")), top_logprobs=0)


def test_concurrency_is_bounded() -> None:
    async def slow(server: ChatServer, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        await reply(200, GOOD)(server, writer)

    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        server.default = slow
        await asyncio.gather(*(engine.sample(engine.encode("x"), range(5), Sampling()) for _ in range(4)))
        assert server.most_in_flight == 3

    run(test, concurrency=3)


def test_a_cancelled_call_hangs_up() -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        server.default = hang
        call = asyncio.create_task(engine.sample(engine.encode("x"), range(4), Sampling()))
        while len(server.requests) < 4:
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        async with asyncio.timeout(5):
            while server.gone < 4:
                await asyncio.sleep(0.01)

    run(test)


def test_the_key_is_sent_and_shows_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []

    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        assert f"authorization: bearer {KEY}" in server.headers[-1].lower()
        shown.append(repr(engine) + repr(vars(engine)["_options"]) + repr(engine._client.headers))
        for _ in range(2):
            with pytest.raises(EngineError) as caught:
                await one(engine, server)
            shown.append(str(caught.value) + repr(caught.value) + repr(caught.value.__cause__))

    leak = {"error": {"message": f"Incorrect API key provided: {KEY}"}}
    run(test, reply(401, leak), reply(429, leak, Retry_After="3600"))
    assert len(shown) == 3
    assert KEY not in "".join(shown) + caplog.text


def test_without_a_key_none_is_sent() -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        await one(engine, server)
        assert "authorization" not in server.headers[-1].lower()

    run(test)


def test_vllm_servers_are_asked_to_stop_at_the_verdict() -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        await one(engine, server)
        assert server.requests[0]["include_stop_str_in_output"] is True
        assert len(server.requests[0]["stop"]) == 2

    run(test, server=ChatServer(models={"data": [{"id": "judge", "owned_by": "vllm"}]}))


def start(server: ChatServer, **options: Any) -> Any:
    async def main() -> Any:
        async with server as running:
            engine = OpenaiEngine(JUDGE, OpenaiOptions(base_url=running.url, **options), FAST)
            return await engine.start()

    return asyncio.run(main())


def test_start_says_what_runs() -> None:
    info = start(ChatServer())
    assert (info.name, info.max_model_len) == ("openai", 2048)
    assert info.version.startswith("judge at http://127.0.0.1")


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (ChatServer(models={"data": [{"id": "a"}, {"id": "b"}]}), "the server lists: a, b"),
        (ChatServer(models=None), "which model"),
        (ChatServer(default=reply(401, ERROR)), KEY_VARIABLE),
        (ChatServer(default=reply(404, ERROR)), "no such address or model"),
        (ChatServer(default=reply(400, {"error": "logprobs is not supported"})), "logprobs is not supported"),
        (ChatServer(default=reply(500, ERROR)), "does not answer"),
    ],
    ids=["two models", "no model list", "wrong key", "wrong model", "unknown field", "down"],
)
def test_a_server_that_cannot_be_used_is_refused_at_start(server: ChatServer, words: str) -> None:
    with pytest.raises(EngineError, match=words):
        start(server)


def test_a_model_named_needs_no_model_list() -> None:
    assert start(ChatServer(models=None), model="judge", max_model_len=512).max_model_len == 512


def test_no_server_at_all() -> None:
    async def main() -> None:
        engine = OpenaiEngine(JUDGE, OpenaiOptions(base_url="http://127.0.0.1:9/v1"), RetryPolicy(deadline_s=0.1))
        await engine.start()

    with pytest.raises(EngineError, match="no answer: Connect"):
        asyncio.run(main())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"base_url": "localhost:8000"},
        {"base_url": f"http://user:{KEY}@host/v1"},
        {"base_url": "http://host/v1", "concurrency": "0"},
        {"base_url": "http://host/v1", "retries": "3"},
    ],
)
def test_a_wrong_option_is_refused_without_showing_a_key(options: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        create_engine("openai", JUDGE, options)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("step", INJECTIONS.values(), ids=INJECTIONS.keys())
def test_a_rollout_stays_one_message_without_special_tokens(step: str) -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        text = JUDGE.template.render("What is 1 + 1?", [step], 0)
        (generation,) = await engine.sample(engine.encode(text), [1], Sampling())
        (message,) = server.requests[0]["messages"]
        assert message["role"] == "user"
        assert "<|" not in message["content"]
        assert message["content"].replace("< |", "<|") == text
        assert len(find_verdicts(generation.text)) == 1

    run(test)


@pytest.mark.parametrize(
    "mark", ["<|im_end|>", "<s>", "</s>", "[INST]", "[/INST]", "<end_of_turn>", "<\uff5cUser\uff5c>", "<eos>"]
)
def test_marks_of_several_families_are_broken(mark: str) -> None:
    engine = OpenaiEngine(JUDGE, OpenaiOptions(base_url="http://host/v1"))
    assert mark not in engine.encode(f"a{mark}b").text
    assert engine.encode("1 < 2, |x| > 3 and [1, 2] and <b>").text == "1 < 2, |x| > 3 and [1, 2] and <b>"
