"""A chat completions server for tests, on a loopback port, that answers well or fails in any way it is told to."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from rprm_jobs.judge.verdict import MARKER

Write = asyncio.StreamWriter
Behaviour = Callable[["ChatServer", Write], Awaitable[None]]


def completion(text: str, *, finish: str = "stop", logprobs: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """A well-formed chat completion."""
    choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    if logprobs is not None:
        choice["logprobs"] = {"content": logprobs}
    return {"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 7}}


def tokens(*texts: str, last: dict[str, float]) -> list[dict[str, Any]]:
    """Log-probs of tokens that are certain, save the last, whose likeliest ones are `last`."""
    tokens: list[dict[str, Any]] = [{"token": text, "logprob": 0.0, "top_logprobs": []} for text in texts]
    tokens[-1]["logprob"] = last.get(texts[-1], -1.0)
    tokens[-1]["top_logprobs"] = [{"token": token, "logprob": value} for token, value in last.items()]
    return tokens


GOOD = completion(
    f"Fine.\n{MARKER} Yes", logprobs=tokens("Fine.", "\n", MARKER, " Yes", last={" Yes": -0.1, " No": -2.3})
)


def reply(status: int, document: Any, **headers: str) -> Behaviour:
    """Answer with `document` as JSON, or as it is when it is bytes."""

    async def behave(_: ChatServer, writer: Write) -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()

    return behave


async def hang(server: ChatServer, _: Write) -> None:
    """Never answer."""
    await server.closing.wait()


async def half(_: ChatServer, writer: Write) -> None:
    """Announce more than is sent, then cut the connection."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + json.dumps(GOOD).encode()[:50])
    await writer.drain()


async def cut(_: ChatServer, writer: Write) -> None:
    """Cut the connection without a word."""
    writer.transport.abort()


async def stumble_over_logprobs(server: ChatServer, writer: Write) -> None:
    """Fail as vLLM and SGLang do where a listed log-probability is no number."""
    asked = server.requests[-1]
    error = {"error": {"message": "Out of range float values are not JSON compliant", "code": 500}}
    await (reply(500, error) if "logprobs" in asked else reply(200, completion(f"Fine.\n{MARKER} Yes")))(server, writer)


@dataclass
class ChatServer:
    """Answers `GET models` always, and each completion by the next of `behaviours`, then by `default`.

    `pages` stand beside the API, by path. A prompt that holds a key of `by_prompt` is always answered by its behaviour.
    """

    behaviours: deque[Behaviour] = field(default_factory=deque)
    default: Behaviour = field(default_factory=lambda: reply(200, GOOD))
    models: Any = field(default_factory=lambda: {"data": [{"id": "judge", "max_model_len": 2048}]})
    pages: dict[str, Any] = field(default_factory=dict)
    by_prompt: dict[str, Behaviour] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    disconnected: int = 0
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> ChatServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """The base URL to give to an engine."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def _serve(self, reader: asyncio.StreamReader, writer: Write) -> None:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.headers.append(head)
            await self._answer(head, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.disconnected += 1
        finally:
            self.in_flight -= 1
            writer.close()

    def _behaviour(self) -> Behaviour:
        prompt = self.requests[-1]["messages"][-1]["content"]
        for words, behaviour in self.by_prompt.items():
            if words in prompt:
                return behaviour
        return self.behaviours.popleft() if self.behaviours else self.default

    async def _answer(self, head: str, reader: asyncio.StreamReader, writer: Write) -> None:
        if head.startswith("GET /v1/models"):
            shown = reply(200, self.models) if self.models is not None else reply(404, {"detail": "Not Found"})
            await shown(self, writer)
            return
        if head.startswith("GET "):
            page = self.pages.get(head.split()[1])
            await (reply(404, {}) if page is None else reply(200, page))(self, writer)
            return
        length = next(
            int(line.split(":")[1]) for line in head.lower().splitlines() if line.startswith("content-length")
        )
        self.requests.append(json.loads(await reader.readexactly(length)))
        behaviour = self._behaviour()
        answering = asyncio.create_task(behaviour(self, writer))
        leaving = asyncio.create_task(reader.read(1))
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            self.disconnected += 1
        for task in (answering, leaving):
            task.cancel()
        await asyncio.gather(answering, leaving, return_exceptions=True)
