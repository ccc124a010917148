"""What differs between clients that mean the same: slashes too many in a path, and packed bodies.

Trainers join a base URL and a path as they like, and proxies pack what they forward.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SLASHES = re.compile(r"/{2,}")
_PACKED = frozenset({b"gzip", b"x-gzip", b"deflate"})
# Bytes that are unpacked at a time, so that a bomb meets the limit of bodies before it has grown.
_PIECE_BYTES = 256 * 1024
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


class PlainRequests:
    """ASGI middleware: the path without repeated and trailing slashes, the body unpacked. The first that one meets."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request in its plain form. Raises HTTPException where the body is read and cannot be unpacked."""
        if scope["type"] == "http":
            scope = {**scope, "path": _SLASHES.sub("/", scope["path"]).rstrip("/") or "/"}
            encodings = [value.strip().lower() for name, value in scope["headers"] if name == b"content-encoding"]
            if encodings and encodings != [b"identity"]:
                packed = (b"content-encoding", b"content-length")
                scope["headers"] = [(name, value) for name, value in scope["headers"] if name not in packed]
                receive = _Unpacked(receive, encodings).receive
        await self._app(scope, receive, send)


class _Unpacked:
    def __init__(self, receive: Receive, encodings: list[bytes]) -> None:
        self._receive, self._encodings = receive, encodings
        self._stream, self._inside = zlib.decompressobj(_GZIP_OR_ZLIB), False
        self._pieces: Iterator[bytes] = iter(())
        self._more, self._ended = True, False

    async def receive(self) -> Message:
        """The next piece of the body, unpacked; after its end what the server has to say."""
        if self._ended:
            return await self._receive()
        if len(self._encodings) > 1 or self._encodings[0] not in _PACKED:
            packed = b", ".join(self._encodings).decode("latin-1")
            raise HTTPException(415, f"the body is packed as {packed}: send it plain, or as gzip")
        while (piece := self._next_piece()) is None:
            if not self._more:
                self._ended = True
                return {"type": "http.request", "body": b"", "more_body": False}
            message = await self._receive()
            if message["type"] != "http.request":
                return message
            self._more = message.get("more_body", False)
            self._pieces = self._unpack(message.get("body", b""))
        return {"type": "http.request", "body": piece, "more_body": True}

    def _next_piece(self) -> bytes | None:
        try:
            return next(self._pieces, None)
        except zlib.error:
            raise HTTPException(400, "the body is not what Content-Encoding says, or was cut") from None

    def _unpack(self, data: bytes) -> Iterator[bytes]:
        while data:
            self._inside = True
            if piece := self._stream.decompress(data, _PIECE_BYTES):
                yield piece
            data = self._stream.unconsumed_tail
            if self._stream.eof:
                data, self._inside = self._stream.unused_data, False
                self._stream = zlib.decompressobj(_GZIP_OR_ZLIB)
        if self._inside and not self._more:
            raise zlib.error("cut")
