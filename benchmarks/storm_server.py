"""The storm's OpenAI-compatible server, a process of its own: `python -m benchmarks.storm_server PORT`.

What it writes is a function of prompt and seed, as the scripted engine's critiques are. A marker makes it answer the
prompt that holds it badly, always; `POST /fault` makes it answer everything badly for a while.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
import time
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rprm_jobs.engine import Generation, Prompt
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.judge.verdict import find_verdicts
from rprm_jobs.types import Sampling
from tests.support.chat_server import completion, tokens
from workers.engines.scripted.engine import ScriptedEngine, ScriptedOptions

MODEL = "storm"
# What a marker does to the answer to its prompt. Only REFUSED costs the rollout, and the next two cost P(Yes).
REFUSED = "[[server:500]]"
WITHOUT_P_YES = ("[[server:null-logprobs]]", "[[server:infinite-logprobs]]")
ODD = ("[[server:no-usage]]", "[[server:parts]]")
# What `POST /fault` may name: a status for a while, or so many answers that are cut.
OVERLOADED, AWAY, CUT, NO_USAGE = "429", "503", "cut", "no-usage"
_LEAST = 1e-9


@cache
def _engine() -> ScriptedEngine:
    engine = ScriptedEngine(resolve_judge("scripted"), ScriptedOptions())
    asyncio.run(engine.start())
    return engine


def critique(prompt: str, seed: int) -> Generation:
    """What the server writes; P(Yes) is None where a marker of the prompt costs it."""
    (written,) = asyncio.run(_engine().sample(Prompt(prompt), [seed], Sampling()))
    without = any(mark in prompt for mark in WITHOUT_P_YES)
    return Generation(written.text, written.tokens, written.finish, None if without else written.p_yes)


@dataclass
class Mood:
    """How the server answers just now. `cuts` answers are yet to be cut."""

    until: dict[str, float] = field(default_factory=dict)
    cuts: int = 0

    def suffer(self, kind: str, amount: float) -> None:
        """Begin a fault: `amount` answers to cut, or seconds."""
        if kind == CUT:
            self.cuts = int(amount)
        else:
            self.until[kind] = time.monotonic() + amount

    def has(self, kind: str) -> bool:
        """Whether the fault goes on."""
        return time.monotonic() < self.until.get(kind, 0.0)

    def cut(self) -> bool:
        """Whether this answer is to be cut."""
        self.cuts -= 1
        return self.cuts >= 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    mood: Mood
    delay_s: float

    def do_GET(self) -> None:
        self._send(200, {"data": [{"id": MODEL, "max_model_len": 32768}]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/fault":
            self.mood.suffer(asked["kind"], asked["amount"])
            self._send(200, {})
            return
        time.sleep(self.delay_s)
        prompt = asked["messages"][-1]["content"]
        if self.mood.has(OVERLOADED):
            self._send(429, {"error": {"message": "too many requests"}}, {"Retry-After": "1"})
        elif self.mood.has(AWAY):
            self._send(503, {"error": {"message": "the model is loading"}})
        elif REFUSED in prompt:
            self._send(500, {"error": {"message": "an assertion of the attention kernel failed"}})
        else:
            self._answer(prompt, asked["seed"])

    def _answer(self, prompt: str, seed: int) -> None:
        document = answer(prompt, seed)
        if self.mood.has(NO_USAGE):
            document.pop("usage", None)
        body = json.dumps(document).encode()
        if self.mood.cut():
            self._begin(200, len(body), {})
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
        else:
            self._begin(200, len(body), {})
            self.wfile.write(body)

    def _send(self, status: int, document: Any, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(document).encode()
        self._begin(status, len(body), headers or {})
        self.wfile.write(body)

    def _begin(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing: thousands of requests are no news."""


def answer(prompt: str, seed: int) -> dict[str, Any]:
    """The chat completion, as odd as the prompt's marker wants it."""
    written = critique(prompt, seed)
    verdict = find_verdicts(written.text)[-1]
    before, word = written.text[: verdict.start(1) - 1], f" {verdict[1]}"
    yes = min(max(0.5 if written.p_yes is None else written.p_yes, _LEAST), 1.0 - _LEAST)
    chances: dict[str, Any] = {" Yes": math.log(yes), " No": math.log(1.0 - yes)}
    if WITHOUT_P_YES[0] in prompt:
        chances = dict.fromkeys(chances)
    elif WITHOUT_P_YES[1] in prompt:
        chances = dict.fromkeys(chances, -math.inf)
    document = completion(written.text, logprobs=tokens(before, word, last=chances))
    if ODD[0] in prompt:
        del document["usage"]
    elif ODD[1] in prompt:
        message = document["choices"][0]["message"]
        message["content"] = [{"type": "text", "text": message["content"]}]
    return document


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_: object) -> None:
        """A worker that was killed hangs up in the middle of an answer: no news either."""


def main() -> None:
    """Serve until killed. The second argument is how many seconds an answer takes."""
    _engine()
    _Handler.mood, _Handler.delay_s = Mood(), float(sys.argv[2])
    _Server(("127.0.0.1", int(sys.argv[1])), _Handler).serve_forever()


if __name__ == "__main__":
    main()
