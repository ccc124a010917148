"""The client for asyncio. There is one implementation: each method here is the plain client's, run in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import update_wrapper
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

from rprm_jobs.client.core import Client
from rprm_jobs.client.job import Job

if TYPE_CHECKING:
    from rprm_jobs.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")
_END = object()


def _of_job(method: Callable[Concatenate[Job, P], T]) -> Callable[Concatenate[AsyncJob, P], Awaitable[T]]:
    async def call(self: AsyncJob, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(method, self.plain, *args, **kwargs)

    update_wrapper(call, method)
    return call


def _of_client(method: Callable[Concatenate[Client, P], T]) -> Callable[Concatenate[AsyncClient, P], Awaitable[T]]:
    async def call(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(method, await self.plain(), *args, **kwargs)

    update_wrapper(call, method)
    return call


def _job_of_client(
    method: Callable[Concatenate[Client, P], Job],
) -> Callable[Concatenate[AsyncClient, P], Awaitable[AsyncJob]]:
    async def call(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> AsyncJob:
        return AsyncJob(await asyncio.to_thread(method, await self.plain(), *args, **kwargs))

    update_wrapper(call, method)
    return call


class AsyncJob:
    """A `Job` whose methods are awaited; `plain` is the job itself."""

    def __init__(self, plain: Job) -> None:
        self.plain = plain
        self.id = plain.id

    def __repr__(self) -> str:
        return f"AsyncJob({self.id})"

    status = _of_job(Job.status)
    wait = _of_job(Job.wait)
    to_arrow = _of_job(Job.to_arrow)
    to_pandas = _of_job(Job.to_pandas)
    to_dataset = _of_job(Job.to_dataset)
    cancel = _of_job(Job.cancel)
    retry = _of_job(Job.retry)
    delete = _of_job(Job.delete)
    pairs = _of_job(Job.pairs)
    judgement = _of_job(Job.judgement)

    async def judged(self) -> AsyncJob:
        """As `Job.judged`."""
        return AsyncJob(await asyncio.to_thread(self.plain.judged))

    async def extend(self, k: int) -> Self:
        """As `Job.extend`."""
        await asyncio.to_thread(self.plain.extend, k)
        return self

    async def results(
        self, *, critiques: bool = False, steps: bool = False, follow: bool = False
    ) -> AsyncIterator[dict[str, Any]]:
        """As `Job.results`, for `async for`."""
        rows = self.plain.results(critiques=critiques, steps=steps, follow=follow)
        while (row := await asyncio.to_thread(next, rows, _END)) is not _END:
            yield row  # type: ignore[misc]


class AsyncClient:
    """A `Client` whose methods are awaited; connects when it is first used. Use it in an `async with` block."""

    def __init__(self, server: Settings | str | None = None, *, token: str | None = None) -> None:
        self._server, self._token = server, token
        self._plain: asyncio.Task[Client] | None = None

    async def plain(self) -> Client:
        """The client itself, connected. Raises what `Client` raises."""
        if self._plain is None:
            self._plain = asyncio.create_task(asyncio.to_thread(Client, self._server, token=self._token))
        return await self._plain

    async def __aenter__(self) -> Self:
        await self.plain()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        if self._plain is not None:
            await asyncio.to_thread((await self._plain).close)
            self._plain = None

    submit = _job_of_client(Client.submit)
    judge = _of_client(Client.judge)
    reward = _of_client(Client.reward)
    rewards = _of_client(Client.rewards)
    job = _job_of_client(Client.job)

    async def jobs(self, limit: int = 20) -> list[AsyncJob]:
        """As `Client.jobs`."""
        return [AsyncJob(job) for job in await asyncio.to_thread((await self.plain()).jobs, limit)]
