"""Collects solutions that wait to be scored and runs them in batches of about equal length, in a thread.

Used from one event loop. The longest wait together, so that little is padded; the oldest is in every batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from rprm_jobs.engine import EngineStats, SolutionPrompt
from rprm_jobs.errors import EngineDied

Outputs = list[tuple[float, ...]]
Forward = Callable[[Sequence[SolutionPrompt]], list[Outputs]]


class ScoreBatcher:
    """`forward` scores a batch; a batch has at most `tokens` ids with its padding, or is one solution."""

    def __init__(self, forward: Forward, *, tokens: int) -> None:
        self._forward, self._max_tokens = forward, tokens
        self._waiting: list[tuple[SolutionPrompt, asyncio.Future[Outputs]]] = []
        self._runner: asyncio.Task[None] | None = None
        self._tokens = 0
        self._death: BaseException | None = None
        self._closed = False

    async def score(self, prompt: SolutionPrompt) -> Outputs:
        """The numbers at each place. A caller that is cancelled while it waits costs nothing."""
        if self._death is not None or self._closed:
            raise self._died()
        answer: asyncio.Future[Outputs] = asyncio.get_running_loop().create_future()
        self._waiting.append((prompt, answer))
        if self._runner is None or self._runner.done():
            self._runner = asyncio.ensure_future(self._run())
        return await answer

    def stats(self) -> EngineStats:
        """Prompt tokens so far, without padding."""
        return EngineStats(self._tokens, 0)

    async def close(self) -> None:
        """Let the running batch end, and answer all who wait with EngineDied."""
        self._closed = True
        if self._runner is not None:
            await asyncio.gather(self._runner, return_exceptions=True)

    async def _run(self) -> None:
        while self._waiting and not self._closed:
            # A turn of the loop for everybody who is about to ask.
            await asyncio.sleep(0)
            batch = self._take()
            if not batch:
                continue
            try:
                outputs = await asyncio.to_thread(self._forward, [prompt for prompt, _ in batch])
            # Anything at all, a MemoryError too: the callers must be told, or they would wait for ever.
            except BaseException as error:  # noqa: BLE001
                self._death = error
                self._waiting += batch
                break
            for (prompt, answer), numbers in zip(batch, outputs, strict=True):
                self._tokens += len(prompt.ids)
                if not answer.done():
                    answer.set_result(numbers)
        if self._death is not None or self._closed:
            waiting, self._waiting = self._waiting, []
            for _, answer in waiting:
                if not answer.done():
                    answer.set_exception(self._died())

    def _take(self) -> list[tuple[SolutionPrompt, asyncio.Future[Outputs]]]:
        """The oldest that waits, and those nearest to it in length as far as they fit."""
        self._waiting = [(prompt, answer) for prompt, answer in self._waiting if not answer.done()]
        if not self._waiting:
            return []
        oldest = len(self._waiting[0][0].ids)
        near = sorted(range(len(self._waiting)), key=lambda i: (abs(len(self._waiting[i][0].ids) - oldest), i))
        chosen, widest = [near[0]], oldest
        for i in near[1:]:
            width = max(widest, len(self._waiting[i][0].ids))
            if width * (len(chosen) + 1) > self._max_tokens:
                break
            chosen.append(i)
            widest = width
        taken = set(chosen)
        batch = [self._waiting[i] for i in chosen]
        self._waiting = [item for i, item in enumerate(self._waiting) if i not in taken]
        return batch

    def _died(self) -> EngineDied:
        if self._death is None:
            return EngineDied("the transformers engine was closed while it was scoring")
        error = EngineDied(
            f"the transformers engine failed: {type(self._death).__name__}: {self._death}",
            hint="if it ran out of memory, lower --engine-arg max_batch_tokens or max_model_len",
        )
        error.__cause__ = self._death
        return error
