"""Bounds on what a client can take: requests a second, bytes and seconds of a body, seconds without reading."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_MOST_KEYS = 10_000
# Seconds in which the next piece of a body must come, and in which a reader must take a piece of the answer.
_PIECE_S = 30.0
_READ_S = 60.0


class RateLimit:
    """`per_s` requests a second for each key, and twice as many at once (a token bucket)."""

    def __init__(self, per_s: float) -> None:
        self._per_s, self._most = per_s, max(1.0, 2 * per_s)
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> float | None:
        """None where the request may go on, else the seconds until the next may."""
        now = time.monotonic()
        left, at = self._left.pop(key, (self._most, now))
        left = min(self._most, left + (now - at) * self._per_s)
        allowed = left >= 1.0
        self._left[key] = (left - 1.0 if allowed else left, now)
        while len(self._left) > _MOST_KEYS:
            self._left.popitem(last=False)
        return None if allowed else (1.0 - left) / self._per_s


class BodyLimit:
    """ASGI middleware: 413 for a body of too many bytes, 408 for one that does not come; ends a reader that stalls."""

    def __init__(self, app: ASGIApp, *, most_bytes: int) -> None:
        self._app, self._most = app, most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request with a bounded body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self._app(scope, _Body(receive, self._most, scope).receive, _patient(send))


class _Body:
    def __init__(self, receive: Receive, most: int, scope: Scope) -> None:
        self._receive, self._most = receive, most
        self._bytes, self._ended = 0, False
        lengths = [value for name, value in scope["headers"] if name == b"content-length"]
        self._said = int(lengths[0]) if lengths and lengths[0].isdigit() else 0

    async def receive(self) -> Message:
        """The next message of the server. Raises HTTPException for a body beyond the bounds."""
        if self._ended:
            return await self._receive()
        if self._said > self._most:
            raise self._too_large()
        try:
            message = await asyncio.wait_for(self._receive(), _PIECE_S)
        except TimeoutError:
            raise HTTPException(408, f"the body did not come: nothing for {_PIECE_S:g} s") from None
        self._bytes += len(message.get("body", b""))
        if self._bytes > self._most:
            raise self._too_large()
        self._ended = not message.get("more_body", False)
        return message

    def _too_large(self) -> HTTPException:
        return HTTPException(413, f"the body has more than {self._most:,} bytes: send a file by /v1/uploads in pieces")


def _patient(send: Send) -> Send:
    async def bounded(message: Message) -> None:
        await asyncio.wait_for(send(message), _READ_S)

    return bounded
