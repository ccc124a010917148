"""Clients that mean the same and differ in how they say it: slashes, and bodies that are packed."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from rprm_jobs.server.transport import PlainRequests

BODY = b'{"problem": "p"}' * 40_000


def sent(pieces: list[bytes], *encodings: bytes, path: str = "/reward") -> tuple[Scope, list[bytes], Message]:
    """What the application meets: the scope, the pieces of the body, and what comes after the body's end."""
    messages = [
        {"type": "http.request", "body": piece, "more_body": number + 1 < len(pieces)}
        for number, piece in enumerate(pieces)
    ]
    messages.append({"type": "http.disconnect"})
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, _send: Send) -> None:
        bodies, more = [], True
        while more:
            message = await receive()
            bodies.append(message["body"])
            more = message["more_body"]
        seen.extend((scope, bodies, await receive()))

    async def receive() -> Any:
        return messages.pop(0)

    async def send(_message: Message) -> None:
        raise AssertionError

    headers = [(b"content-length", b"7"), (b"host", b"h"), *((b"content-encoding", name) for name in encodings)]
    scope = {"type": "http", "path": path, "headers": headers}
    asyncio.run(PlainRequests(app)(scope, receive, send))
    return seen[0], seen[1], seen[2]


@pytest.mark.parametrize(
    ("packed", "encoding"),
    [
        (gzip.compress(BODY), b"gzip"),
        (gzip.compress(BODY[:100]) + gzip.compress(BODY[100:]), b" X-GZIP "),
        (zlib.compress(BODY), b"deflate"),
    ],
)
@pytest.mark.parametrize("size", [7, 1000, 10**6])
def test_a_packed_body_comes_unpacked_and_in_pieces(packed: bytes, encoding: bytes, size: int) -> None:
    pieces = [packed[at : at + size] for at in range(0, len(packed), size)]
    scope, bodies, after = sent([*pieces, b""], encoding)
    assert b"".join(bodies) == BODY
    assert max(map(len, bodies)) <= 256 * 1024
    assert after["type"] == "http.disconnect"
    assert [name for name, _ in scope["headers"]] == [b"host"]


def test_a_body_that_is_not_packed_is_left_alone() -> None:
    for encodings in ((), (b"identity",)):
        scope, bodies, after = sent([b"a", b"", b"b"], *encodings)
        assert (bodies, after["type"]) == ([b"a", b"", b"b"], "http.disconnect")
        assert (b"content-length", b"7") in scope["headers"]


@pytest.mark.parametrize(
    ("pieces", "encodings", "status"),
    [
        ([b"{}"], (b"gzip",), 400),
        ([gzip.compress(BODY)[:-9]], (b"gzip",), 400),
        ([gzip.compress(BODY) + b"more"], (b"gzip",), 400),
        ([b"{}"], (b"br",), 415),
        ([gzip.compress(gzip.compress(BODY))], (b"gzip", b"gzip"), 415),
        ([gzip.compress(gzip.compress(BODY))], (b"gzip, gzip",), 415),
    ],
)
def test_what_cannot_be_unpacked_is_refused(pieces: list[bytes], encodings: tuple[bytes, ...], status: int) -> None:
    with pytest.raises(HTTPException) as refused:
        sent(pieces, *encodings)
    assert refused.value.status_code == status


@pytest.mark.parametrize(
    ("path", "plain"),
    [("/", "/"), ("//", "/"), ("/reward/", "/reward"), ("//reward//slime/", "/reward/slime"), ("/a/b", "/a/b")],
)
def test_slashes_too_many_mean_nothing(path: str, plain: str) -> None:
    assert sent([b""], path=path)[0]["path"] == plain
