"""The engine behind HTTP at its start: options, the model, the key, and servers that cannot be used."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest

from rprm_jobs.errors import ConfigError, EngineError
from rprm_jobs.judge.resolve import resolve_judge
from tests.support.chat_server import Behaviour, ChatServer, hang, reply, stumble_over_logprobs
from tests.support.openai import JUDGE, run, sample_once, start
from workers.engines import create_engine
from workers.engines.openai.client import is_loopback
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
        shown.append(repr(engine) + repr(vars(engine)["_options"]) + repr(engine._transport._client.headers))
        with pytest.raises(EngineError) as caught:
            await sample_once(engine, server)
        shown.append(str(caught.value) + repr(caught.value) + repr(caught.value.__cause__))

    leak = {"error": {"message": f"Incorrect API key provided: {KEY}"}}
    # An engine that was refused once asks no more.
    for refused in (reply(401, leak), reply(429, leak, Retry_After="3600")):
        run(test, refused)
    assert len(shown) == 4
    assert KEY not in "".join(shown) + caplog.text


def test_without_a_key_none_is_sent() -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        await sample_once(engine, server)
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
        (ChatServer(default=reply(500, ERROR)), "no answer: status 500: busy"),
        (ChatServer(default=stumble_over_logprobs), r"(?s)not with log-probabilities: status 500.*top_logprobs=0"),
    ],
    ids=["two models", "no model list", "wrong key", "wrong model", "unknown field", "down", "log-probabilities"],
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


@pytest.mark.parametrize(
    ("models", "pages", "window"),
    [
        ({"data": [{"id": "judge", "context_length": 3000}]}, {}, 3000),
        ({"data": [{"id": "judge", "meta": {"n_ctx_train": 9999, "n_ctx": 3000}}]}, {}, 3000),
        ({"data": [{"id": "judge"}]}, {"/props": {"default_generation_settings": {"n_ctx": 3000}}}, 3000),
        ({"data": [{"id": "judge"}]}, {"/info": {"max_total_tokens": 3000}}, 3000),
        ({"data": [{"id": "judge"}]}, {"/get_server_info": {"context_length": 3000}}, 3000),
        ({"data": [{"id": "judge"}]}, {"/props": [1], "/info": {"max_total_tokens": "many"}}, 0),
        ({"data": [{"id": "judge", "max_model_len": -1}]}, {}, 0),
    ],
)
def test_the_window_is_found_wherever_the_server_tells_it(models: Any, pages: dict[str, Any], window: int) -> None:
    assert start(ChatServer(models=models, pages=pages)).max_model_len == window


@pytest.mark.parametrize("models", [[], {}, 7, "x", {"data": 5}, {"data": [None, 5, {"id": 7}]}, b"{", b"\xff"])
def test_any_list_of_models_is_read(models: Any) -> None:
    assert start(ChatServer(models=models), model="judge").name == "openai"


def test_the_trial_asks_for_as_many_tokens_as_servers_accept() -> None:
    """Some take no limit below 16; TGI wants temperature and top_p inside their ranges."""
    server = ChatServer()
    start(server)
    (request,) = server.requests
    assert request["max_tokens"] >= 16
    assert 0 < request["temperature"] <= 1
    assert 0 < request["top_p"] < 1


@pytest.mark.parametrize("behaviour", [hang, reply(503, {"error": {"message": "Loading model"}})])
def test_a_server_that_does_not_answer_is_given_up_soon(behaviour: Behaviour) -> None:
    began = time.monotonic()
    with pytest.raises(EngineError, match="no answer") as caught:
        start(ChatServer(default=behaviour), start_s=0.5)
    assert caught.value.hint
    assert time.monotonic() - began < 5


def unreachable(**variables: str) -> EngineError:
    """What starting an engine on a server far away says with these environment variables."""

    async def main() -> None:
        options = OpenaiOptions(base_url="http://judge.invalid/v1", model="judge", start_s=5)
        await OpenaiEngine(JUDGE, options, RetryPolicy(deadline_s=0.1)).start()

    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        with pytest.raises((EngineError, ConfigError)) as caught:
            asyncio.run(main())
    return caught.value  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PROXY", "socks://user:secret@127.0.0.1:1080"),
        ("ALL_PROXY", "socks5://user:secret@127.0.0.1:1080"),
        ("https_proxy", "ftp://user:secret@127.0.0.1:1"),
        ("SSL_CERT_FILE", "/missing/secret.pem"),
        ("SSL_CERT_FILE", __file__),
        ("NO_PROXY", "[::1"),
        ("HTTP_PROXY", "http://user:secret@127.0.0.1:9"),
    ],
)
def test_a_variable_that_stands_in_the_way_is_named(name: str, value: str) -> None:
    error = unreachable(**{name: value})
    assert name in str(error)
    assert "secret" not in str(error)
    assert error.__suppress_context__


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY", "http_proxy", "SSL_CERT_FILE"])
def test_a_server_on_this_machine_is_asked_directly(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "socks://127.0.0.1:9" if name != "SSL_CERT_FILE" else "/missing.pem")
    assert start(ChatServer()).name == "openai"


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost:8000/v1", True),
        ("http://judge.localhost/v1", True),
        ("http://127.1.2.3/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://0.0.0.0:8000/v1", True),
        ("http://10.0.0.1/v1", False),
        ("http://localhost.example.com/v1", False),
    ],
)
def test_which_servers_are_on_this_machine(url: str, local: bool) -> None:
    assert is_loopback(url) is local
