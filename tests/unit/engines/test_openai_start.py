"""The engine behind HTTP at its start: options, the model, the key, and servers that cannot be used."""

from __future__ import annotations

import asyncio
import logging

import pytest

from rprm_jobs.errors import ConfigError, EngineError
from rprm_jobs.judge.resolve import resolve_judge
from tests.support.chat_server import ChatServer, reply
from tests.support.openai import JUDGE, one, run, start
from workers.engines import create_engine
from workers.engines.openai.engine import OpenaiEngine
from workers.engines.openai.options import KEY_VARIABLE, OpenaiOptions
from workers.engines.openai.retry import RetryPolicy

KEY = "sk-very-secret-0123456789"
ERROR = {"error": {"message": "busy"}}


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


def test_a_judge_that_only_a_server_has_is_asked_for_by_its_name() -> None:
    judge = resolve_judge("endpoint:b")

    async def test() -> str:
        async with ChatServer(models={"data": [{"id": "a"}, {"id": "b"}]}) as server:
            engine = create_engine("auto", judge, {"base_url": server.url})
            try:
                return (await engine.start()).version
            finally:
                await engine.close()

    assert asyncio.run(test()).startswith("b at http://127.0.0.1")
    with pytest.raises(ConfigError, match="only a server has") as caught:
        create_engine("transformers", judge, {})
    assert "base_url" in caught.value.hint


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
