"""What judging, writing and searching share: many solutions at the same time, and one call of an engine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from rprm_jobs.engine import Engine, Generation, Prompt
from rprm_jobs.errors import RprmError
from rprm_jobs.store.records import StoredSolution
from rprm_jobs.types import Response, Sampling, SolutionScore

T = TypeVar("T")
# Takes an outcome, or a search in progress.
Emit = Callable[[SolutionScore | Response], None]


class AttemptFailed(RprmError):
    """The engine raised an error that is neither the solution's nor a sign that the engine died."""


async def run_concurrently(
    solutions: Sequence[StoredSolution],
    work: Callable[[StoredSolution], Awaitable[SolutionScore | None]],
    emit: Emit,
) -> bool:
    """Run `work` on every solution and pass each outcome to `emit`. False when the worker drains and some have none.

    An error of one solution's work cancels the others; outcomes that were emitted before it stay good.
    """

    async def emitted(solution: StoredSolution) -> bool:
        outcome = await work(solution)
        if outcome is not None:
            emit(outcome)
        return outcome is not None

    tasks = [asyncio.ensure_future(emitted(solution)) for solution in solutions]
    try:
        return all(await asyncio.gather(*tasks))
    finally:
        await cancel(tasks)


async def sampled(
    engine: Engine, prompt: Prompt, seeds: Sequence[int], sampling: Sampling, *, stop: Sequence[str] | None = None
) -> list[Generation]:
    """The engine's answer. Raises what the engine may raise, and AttemptFailed."""
    try:
        if stop is None:
            return await engine.sample(prompt, seeds, sampling)
        return await engine.sample(prompt, seeds, sampling, stop=stop)
    except SystemExit as error:
        # asyncio would let it end the loop, and with it the work on every other shard.
        raise AttemptFailed(f"the engine raised SystemExit({error.code})") from error


async def run_all(works: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """All of them at the same time, in their order. The first error cancels the others."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        await cancel(tasks)


async def cancel(tasks: Sequence[asyncio.Future[Any]] | Sequence[asyncio.Task[Any]]) -> None:
    """Cancel those that run, and wait until they have ended."""
    live = [task for task in tasks if not task.done()]
    for task in live:
        task.cancel()
    await asyncio.gather(*live, return_exceptions=True)
