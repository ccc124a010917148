"""The frame of the services that live in memory: answers in JSON or bytes, and a server while a block runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class JsonHandler(BaseHTTPRequestHandler):
    """Answers one request; a subclass has the methods `do_GET` and so on."""

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def body(self) -> bytes:
        """What was sent."""
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, status: int, value: Any = None, headers: dict[str, str] | None = None) -> None:
        """Bytes as they are, anything else as JSON; a request for headers alone gets no body."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            # Clients do not always read a listing to its end.
            with suppress(ConnectionError):
                self.wfile.write(body)

    def answer_content(self, content: bytes, headers: dict[str, str] | None = None) -> None:
        """A file, or the part of it that `Range` asks for."""
        asked = self.headers.get("Range")
        if asked is None:
            self.answer(200, content, headers)
            return
        first, _, last = asked.removeprefix("bytes=").partition("-")
        part = content[int(first) : int(last) + 1]
        span = f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}"
        self.answer(206, part, {**(headers or {}), "Content-Range": span})


@contextmanager
def running(handler: type[JsonHandler]) -> Iterator[str]:
    """The server's address, while the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
