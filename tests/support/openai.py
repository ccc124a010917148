"""An OpenAI-compatible engine against a chat server of ours: start both, say what the server does next, run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from rprm_jobs.judge.prompt import PromptTemplate
from rprm_jobs.judge.resolve import Judge
from rprm_jobs.types import Sampling
from tests.support.chat_server import Behaviour, ChatServer
from workers.engines.openai.engine import OpenaiEngine
from workers.engines.openai.options import OpenaiOptions
from workers.engines.openai.retry import RetryPolicy

JUDGE = Judge("judge", "org/judge", None, PromptTemplate.default(), Sampling(), "0" * 64)
FAST = RetryPolicy(first_s=0.01, longest_s=0.05, deadline_s=2.0)


def run(
    test: Callable[[OpenaiEngine, ChatServer], Awaitable[Any]],
    *behaviours: Behaviour,
    policy: RetryPolicy = FAST,
    server: ChatServer | None = None,
    **options: Any,
) -> Any:
    """Start engine and server, let the trial request through, then queue `behaviours` and run `test`."""

    async def main() -> Any:
        async with server or ChatServer() as running:
            engine = OpenaiEngine(JUDGE, OpenaiOptions(base_url=running.url, **options), policy)
            await engine.start()
            running.requests.clear()
            running.behaviours.extend(behaviours)
            try:
                return await test(engine, running)
            finally:
                await engine.close()

    return asyncio.run(main())


async def sample_once(engine: OpenaiEngine, _: ChatServer) -> Any:
    (generation,) = await engine.sample(engine.encode("judge this"), [7], Sampling(max_new_tokens=100))
    return generation


def start(server: ChatServer, **options: Any) -> Any:
    """Start an engine on `server`; what it says it runs."""

    async def main() -> Any:
        async with server as running:
            engine = OpenaiEngine(JUDGE, OpenaiOptions(base_url=running.url, **options), FAST)
            return await engine.start()

    return asyncio.run(main())
