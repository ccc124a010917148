"""The teacher that errs, behind OpenAI's protocol, so that the cold start goes the way it goes with a large model.

`rprm-jobs sample` asks it as it would ask a 70B model. It answers for the prompts it was given and no others; the
seed of a request decides what it says.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "slipping-teacher"
Critic = Callable[[random.Random], str]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # As many as the engine has in flight connect at once.
    request_queue_size = 256

    def __init__(self, critics: Mapping[str, Critic]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._critics = critics

    def critique(self, message: str, seed: int | None) -> str:
        """What the teacher says of the step that `message` asks about; no verdict on one that it was not given."""
        critic = self._critics.get(message)
        return "I do not know this step." if critic is None else critic(random.Random(seed))


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    # Headers and body in one packet: a second small one waits for the first to be acknowledged.
    wbufsize = -1

    def do_GET(self) -> None:
        self._answer(200, {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "training"}]})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(200, _completion(self.server.critique(request["messages"][-1]["content"], request.get("seed"))))

    def _answer(self, status: int, body: Mapping[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Requests are not worth a line each."""


def _completion(text: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    # It writes by program and counts in characters.
    usage = {"prompt_tokens": 0, "completion_tokens": len(text), "total_tokens": len(text)}
    return {"id": "0", "object": "chat.completion", "model": MODEL, "choices": [choice], "usage": usage}


@contextmanager
def teaching(critics: Mapping[str, Critic]) -> Iterator[str]:
    """The base URL of a server on loopback while the block runs; `critics` has one for each prompt that it answers."""
    with _Server(critics) as server:
        thread = threading.Thread(target=server.serve_forever, name="teacher", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()
            thread.join()
