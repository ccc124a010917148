"""Lets callers on an event loop share one decoder that a thread of its own drives: a queue, admission, cancellation.

First come, first served. A request enters as far as there is room, so a large one never waits for the batch to drain.
Whatever goes wrong in the thread reaches every caller as EngineDied; nobody is left waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from rprm_jobs.engine import EngineStats, Generation
from rprm_jobs.errors import EngineDied
from rprm_jobs.types import Sampling

if TYPE_CHECKING:
    from workers.engines.transformers.decoder import Decoder, HeldPrompt

_NO_SAMPLING = Sampling(temperature=0.0)


@dataclass(slots=True, eq=False)
class Request:
    """One `sample` call: `generations` fills up in the order of `seeds`, of which `opened` are being decoded.

    Or one `choose` call: no seeds, and the tokens to `pick` whose log-probabilities behind the prompt are the answer.
    """

    ids: Sequence[int]
    seeds: Sequence[int]
    sampling: Sampling
    limit: int
    stop: tuple[str, ...] | None
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Any]
    pick: Sequence[int] = ()
    opened: int = 0
    left: int = 0
    generations: list[Generation | None] = field(default_factory=list)
    prompt: HeldPrompt | None = None
    cancelled: bool = False

    def __post_init__(self) -> None:
        self.left = len(self.seeds)
        self.generations = [None] * self.left

    def settle(self, outcome: list[Generation] | list[float] | Exception) -> None:
        """Answer the caller, from any thread."""

        def answer() -> None:
            if self.answer.done():
                return
            if isinstance(outcome, Exception):
                self.answer.set_exception(outcome)
            else:
                self.answer.set_result(outcome)

        # A loop that is closed has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(answer)


class Batcher:
    """Runs `decoder` in a thread. `rows` critiques at most at a time, `tokens` in its slabs, `prefill` in one batch."""

    def __init__(self, decoder: Decoder, *, rows: int, tokens: int, prefill: int) -> None:
        self._decoder = decoder
        self._max_rows = rows
        self._max_tokens = tokens
        self._max_prefill = prefill
        self._wake = threading.Condition()
        self._waiting: deque[Request] = deque()
        self._running: list[Request] = []
        self._stopping = False
        self._death: BaseException | None = None
        self._prompt_tokens = 0
        self._computed_tokens = 0
        self._generated_tokens = 0
        self._thread = threading.Thread(target=self._run, name="decoder", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def rows(self) -> int:
        """Critiques that are being decoded at this moment."""
        return len(self._decoder.rows)

    async def sample(
        self,
        ids: Sequence[int],
        seeds: Sequence[int],
        sampling: Sampling,
        limit: int,
        stop: tuple[str, ...] | None = None,
    ) -> list[Generation]:
        """One text of at most `limit` tokens per seed; cancelling frees their places at the next step."""
        if not seeds:
            return []
        loop = asyncio.get_running_loop()
        answer: list[Generation] = await self._ask(
            Request(ids, seeds, sampling, limit, stop, loop, loop.create_future())
        )
        return answer

    async def choose(self, ids: Sequence[int], tokens: Sequence[int]) -> list[float]:
        """The log-probabilities of these tokens as the one behind `ids`; nothing is drawn."""
        loop = asyncio.get_running_loop()
        answer: list[float] = await self._ask(
            Request(ids, (), _NO_SAMPLING, 0, (), loop, loop.create_future(), pick=tokens)
        )
        return answer

    async def _ask(self, request: Request) -> Any:
        with self._wake:
            if self._death is not None or self._stopping:
                raise self._died()
            self._waiting.append(request)
            self._wake.notify()
        try:
            return await request.answer
        except asyncio.CancelledError:
            request.cancelled = True
            raise

    def stats(self) -> EngineStats:
        """Totals so far. A prompt's tokens count once per critique, and as a hit where they were already held."""
        asked = self._prompt_tokens
        return EngineStats(asked, self._generated_tokens, 1 - self._computed_tokens / asked if asked else None)

    def stop(self) -> None:
        """End the thread after its current step, and everything that still waits with EngineDied; blocks."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            while self._wait_for_work():
                self._drop_cancelled()
                self._admit()
                if self._decoder.rows:
                    self._decoder.step()
        # Anything at all, a MemoryError too: the callers must be told, or they would wait for ever.
        except BaseException as error:  # noqa: BLE001
            self._death = error
        with self._wake:
            left = [*self._running, *self._waiting]
            self._stopping = True
            self._waiting.clear()
        for request in left:
            request.settle(self._died())

    def _died(self) -> EngineDied:
        if self._death is None:
            return EngineDied("the transformers engine was closed while it was judging")
        error = EngineDied(
            f"the transformers engine failed: {type(self._death).__name__}: {self._death}",
            hint="if it ran out of memory, lower --engine-arg max_batch or max_model_len",
        )
        error.__cause__ = self._death
        return error

    def _wait_for_work(self) -> bool:
        with self._wake:
            while not (self._stopping or self._waiting or self._running):
                self._wake.wait()
            return not self._stopping

    def _drop_cancelled(self) -> None:
        for request in [r for r in self._running if r.cancelled]:
            for row in [row for row in self._decoder.rows if row.prompt is request.prompt]:
                self._decoder.remove(row)
            self._close(request)

    def _close(self, request: Request) -> None:
        self._running.remove(request)
        if request.prompt is not None:
            self._decoder.release(request.prompt)

    def _admit(self) -> None:
        """Open as many waiting critiques as there is room for, oldest request first."""
        partly = [r for r in self._running if r.opened < len(r.seeds)]
        for request in partly:
            self._open(request)
        if any(r.opened < len(r.seeds) for r in partly):
            return
        while (batch := self._take_batch()) and len(self._decoder.rows) < self._max_rows:
            for request, prompt in zip(batch, self._decoder.prefill([r.ids for r in batch]), strict=True):
                request.prompt = prompt
                self._prompt_tokens += len(request.ids) * max(1, len(request.seeds))
                self._computed_tokens += len(request.ids)
            for request in batch:
                self._open(request)

    def _take_batch(self) -> list[Request]:
        """Requests from the head of the queue whose prompts are computed together next; they are now running."""
        batch: list[Request] = []
        room = self._max_rows - len(self._decoder.rows)
        with self._wake:
            while self._waiting and room > 0:
                request = self._waiting[0]
                if request.cancelled:
                    self._waiting.popleft()
                    continue
                if not self._fits([*batch, request]):
                    break
                batch.append(self._waiting.popleft())
                room -= max(1, len(request.seeds))
        self._running += batch
        return batch

    def _fits(self, batch: list[Request]) -> bool:
        widest = max(len(r.ids) for r in batch)
        if len(batch) > 1 and widest * len(batch) > self._max_prefill:
            return False
        if not self._running and len(batch) == 1:
            return True
        return self._decoder.cost([len(r.ids) for r in batch], [r.limit for r in batch]) <= self._max_tokens

    def _open(self, request: Request) -> None:
        from workers.engines.transformers.decoder import DecodingRow

        prompt = request.prompt
        if prompt is None:
            return
        if request.pick:
            logprobs = prompt.logits.log_softmax(-1)[list(request.pick)].tolist()
            self._close(request)
            request.settle(logprobs)
            return
        room = min(self._max_rows - len(self._decoder.rows), len(request.seeds) - request.opened)
        while room > 1 and self._decoder.cost(limits=[request.limit] * room) > self._max_tokens:
            room //= 2
        if room == 1 and self._decoder.rows and self._decoder.cost(limits=[request.limit]) > self._max_tokens:
            return
        sampling = request.sampling
        rows = [
            DecodingRow(
                prompt,
                request.seeds[at],
                request.limit,
                sampling.temperature,
                sampling.top_p,
                partial(self._done, request, at),
                request.stop,
            )
            for at in range(request.opened, request.opened + room)
        ]
        request.opened += room
        if rows:
            self._decoder.open(rows)

    def _done(self, request: Request, at: int, generation: Generation) -> None:
        request.generations[at] = generation
        request.left -= 1
        self._generated_tokens += generation.tokens
        if request.left == 0:
            self._close(request)
            request.settle([each for each in request.generations if each is not None])
