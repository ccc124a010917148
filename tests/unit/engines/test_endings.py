"""Every engine ends a critique at the same place and reads the same verdict: one table of endings for all of them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from rprm_jobs.engine import Generation
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.judge.verdict import STOP_STRINGS, p_yes, read_verdict
from rprm_jobs.types import Finish, Sampling
from tests.support.chat_server import ChatServer, completion, reply
from tests.support.endings import BODY, ENDINGS, UNOPENED, Ending
from tests.support.openai import run
from workers.engines.openai.engine import OpenaiEngine
from workers.engines.scripted.engine import ScriptedEngine, ScriptedOptions
from workers.engines.scripted.script import Effect
from workers.engines.transformers.stop_checker import StopChecker, StopCriteria
from workers.engines.vllm.engine import VllmEngine

EOS = 0
# Logits of Yes and No at each place: P(Yes) says which place was read.
Cut = Callable[[str], list[str]]


def characters(text: str) -> list[str]:
    return list(text)


def words(text: str) -> list[str]:
    """As a byte-pair tokenizer cuts: words with the space before them, runs of marks, line breaks."""
    return re.findall(r" ?\w+|\n|[^\S\n]|[^\w\s]+", text)


def whole(text: str) -> list[str]:
    """As a greedy tokenizer cuts: a line break with what stands before it."""
    return re.findall(r" ?\w+[.!]*\n?|\n|[^\S\n]|[^\w\s]+\n?", text)


CUTS = [characters, words, whole]


class Tokens:
    """Ids of the pieces of a text, and the end of text."""

    def __init__(self, pieces: Sequence[str]) -> None:
        self.names = ["", *dict.fromkeys(pieces)]
        self.ids = [*map(self.names.index, pieces), EOS]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.names[i] for i in ids)

    def place(self, ending: Ending) -> int:
        """Where the last answer begins in what is kept of the ending; the first place where there is none."""
        before = re.search(r".*\? (?=Yes|No)", ending.kept, re.DOTALL)
        position = len(f"{BODY}\n{before[0]}") if before else 0
        return next(n for n in range(len(self.ids)) if len(self.decode(self.ids[: n + 1])) > position)


def check(ending: Ending, generation: Generation) -> None:
    assert generation.text == f"{BODY}\n{ending.kept}"
    assert generation.finish is Finish.STOP
    assert read_verdict(generation.text, generation.finish) is ending.verdict


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.name)
def test_transformers(ending: Ending, cut: Cut) -> None:
    tokens = Tokens(cut(f"{BODY}\n{ending.written}"))
    checker = StopChecker(
        tokens.decode, StopCriteria(frozenset({EOS}), tokens.ids[tokens.place(ending)], -1), len(tokens.names)
    )
    pairs = [[float(place), 50.0] for place in range(len(tokens.ids))]
    for count in range(1, len(tokens.ids) + 1):
        generation = checker.finished(tokens.ids[:count], pairs[:count], 10_000, None)
        if generation is not None:
            break
    assert generation is not None
    check(ending, generation)
    assert (generation.p_yes is not None) == ending.verdict.parsed
    assert generation.tokens <= count
    if generation.p_yes is not None:
        assert generation.p_yes == p_yes(*pairs[tokens.place(ending)])


class FakeVllm(VllmEngine):
    """The vLLM engine on a text that its model is bound to write; it stops at stop strings as vLLM does."""

    def __init__(self, ending: Ending, cut: Cut) -> None:
        self._tokens, self._critique_stops = Tokens(cut(f"{BODY}\n{ending.written}")), STOP_STRINGS
        yes, no = self._answers = (self._tokens.ids[self._tokens.place(ending)], -1)
        self._encoder = SimpleNamespace(decode_answer=self._tokens.decode, yes_id=yes, no_id=no)  # type: ignore[assignment]
        self.runs = 0

    def _params(self, *_: Any) -> Any:
        return self._critique_stops

    async def _run(self, ids: Sequence[int], params: Any) -> Any:
        del ids
        self.runs += 1
        taken: list[int] = []
        reason = None
        for token in self._tokens.ids:
            taken.append(token)
            text = self._tokens.decode(taken)
            reason = next((stop for stop in params if stop in text), None)
            if reason is not None:
                break
        lengths = range(len(taken))
        flat = SimpleNamespace(
            start_indices=[2 * n for n in lengths],
            end_indices=[2 * n + 2 for n in lengths],
            token_ids=[*self._answers] * len(taken),
            logprobs=[-0.5, -1.5] * len(taken),
        )
        return SimpleNamespace(token_ids=taken, stop_reason=reason, finish_reason="stop", logprobs=flat)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.name)
def test_vllm(ending: Ending, cut: Cut) -> None:
    engine = FakeVllm(ending, cut)
    generation = asyncio.run(engine._generate([1], Sampling(), 0, 10, None))
    check(ending, generation)
    assert (generation.p_yes is not None) == ending.verdict.parsed
    assert engine.runs <= 2
    # A judge that was stopped while it was thinking is given no stop string again.
    assert (engine.runs == 2) == (engine._critique_stops == ())


def ask_endpoint(ending: Ending, owner: str) -> None:
    text = f"{BODY}\n{ending.written}"

    async def write(server: ChatServer, writer: asyncio.StreamWriter) -> None:
        ends = [text.find(stop) + len(stop) for stop in server.requests[-1].get("stop", []) if stop in text]
        written = text[: min(ends)] if ends else text
        logprobs = [
            {"token": word, "logprob": -0.5, "top_logprobs": [*TOPS, {"token": word, "logprob": -0.1}]}
            for word in words(written)
        ]
        await reply(200, completion(written, logprobs=logprobs))(server, writer)

    async def test(engine: OpenaiEngine, server: ChatServer) -> Generation:
        server.default = write
        (generation,) = await engine.sample(engine.encode("judge this"), [7], Sampling(max_new_tokens=100))
        assert len(server.requests) <= 2
        return generation

    models = {"data": [{"id": "judge", "owned_by": owner, "max_model_len": 2048}]}
    generation = run(test, server=ChatServer(models=models))
    check(ending, generation)
    assert (generation.p_yes is not None) == ending.verdict.parsed


@pytest.mark.parametrize("owner", ["vllm", "somebody"])
@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.name)
def test_openai(ending: Ending, owner: str) -> None:
    ask_endpoint(ending, owner)


@pytest.mark.parametrize("ending", UNOPENED, ids=lambda ending: ending.name)
def test_openai_with_a_thinking_block_that_the_server_does_not_show(ending: Ending) -> None:
    ask_endpoint(ending, "somebody")


TOPS = [{"token": " Yes", "logprob": -0.4}, {"token": " No", "logprob": -1.3}]


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.name)
def test_scripted(ending: Ending) -> None:
    engine = ScriptedEngine(resolve_judge("scripted"), ScriptedOptions(text_chars=len(BODY) + 1 + len(ending.written)))
    engine._pool = BODY * 1_000_000
    generation = engine._critique(0, 0.5, 10_000, Effect(ending=f"\n{ending.written}"))
    assert generation.text.endswith(f"\n{ending.kept}")
    assert read_verdict(generation.text, generation.finish) is ending.verdict
    assert (generation.p_yes is not None) == ending.verdict.parsed


def test_a_scripted_ending_is_asked_for_in_the_step() -> None:
    from workers.engines.scripted.script import act

    assert act("1 + 1 [[scripted:ends:\\nIt is so.\\n]]").ending == "\nIt is so.\n"


def test_the_answer_that_a_frame_begins_is_read_with_its_beginning() -> None:
    tokens = Tokens(words("V? Yes\n</think>\nAll is well."))
    criteria = StopCriteria(frozenset({EOS}), 1, 2, opening="<think>\n")
    pairs = [[0.0, 0.0]] * len(tokens.ids)
    generation = StopChecker(tokens.decode, criteria, len(tokens.names)).finished(tokens.ids, pairs, 100, None)
    assert generation is not None
    assert generation.text == "<think>\nV? Yes\n</think>\nAll is well."
    assert json.dumps(generation.p_yes) == "null"
