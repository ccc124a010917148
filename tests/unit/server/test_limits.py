"""What a client can take: bodies that never end or never come, and readers that do not read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from rprm_jobs.server import limits
from rprm_jobs.server.limits import BodyLimit, RateLimit

Received = Callable[[], Awaitable[Message]]


async def nothing() -> Message:
    await asyncio.sleep(60)
    raise AssertionError


async def reads(_scope: Scope, receive: Receive, _send: Send) -> None:
    while (await receive()).get("more_body", False):
        pass


def ask(app: Any, receive: Received, send: Any = None, *headers: tuple[bytes, bytes]) -> None:
    scope = {"type": "http", "headers": list(headers)}
    asyncio.run(BodyLimit(app, most_bytes=1000)(scope, receive, send or nothing))


def test_a_body_that_never_ends_is_refused_when_it_is_too_large() -> None:
    sent = []

    async def endless() -> Message:
        sent.append(100)
        return {"type": "http.request", "body": b"x" * 100, "more_body": True}

    with pytest.raises(HTTPException) as refused:
        ask(reads, endless)
    assert (refused.value.status_code, sum(sent)) == (413, 1100)


def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    with pytest.raises(HTTPException) as refused:
        ask(reads, nothing, None, (b"content-length", b"1001"))
    assert refused.value.status_code == 413


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_PIECE_S", 0.05)
    with pytest.raises(HTTPException) as refused:
        ask(reads, nothing)
    assert refused.value.status_code == 408


def test_a_whole_body_waits_for_its_answer_however_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_PIECE_S", 0.05)
    messages: list[Message] = [{"type": "http.request", "body": b"{}", "more_body": False}]
    seen: list[str] = []

    async def server() -> Message:
        if messages:
            return messages.pop()
        await asyncio.sleep(0.2)
        return {"type": "http.disconnect"}

    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        seen.extend([(await receive())["type"], (await receive())["type"]])

    ask(app, server)
    assert seen == ["http.request", "http.disconnect"]


def test_a_reader_that_does_not_read_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_READ_S", 0.05)
    sent: list[Any] = []

    async def stalls(message: Message) -> None:
        sent.append(message)
        if len(sent) == 3:
            await asyncio.sleep(60)

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        for _ in range(9):
            await send({"type": "http.response.body", "body": b"x", "more_body": True})

    with pytest.raises(TimeoutError):
        ask(app, nothing, stalls)
    assert len(sent) == 3


def test_a_burst_is_taken_and_then_so_many_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(limits.time, "monotonic", lambda: now)
    rate = RateLimit(10.0)
    assert [rate.take("a") is None for _ in range(22)] == [True] * 20 + [False] * 2
    assert rate.take("b") is None
    assert rate.take("a") == pytest.approx(0.1)
    now = 0.1
    assert [rate.take("a") is None for _ in range(2)] == [True, False]
