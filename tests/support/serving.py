"""A chat server in a thread of its own, for tests whose workers are other processes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from tests.support.chat_server import ChatServer


@contextmanager
def serving(server: ChatServer) -> Iterator[str]:
    """Serve until the block ends; its base URL. What `server` answers next may be changed meanwhile."""
    address: Future[str] = Future()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with server as running:
            address.set_result(running.url)
            await server.closing.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        except BaseException as error:
            if address.done():
                raise
            address.set_exception(error)
        finally:
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield address.result(20)
    finally:
        loop.call_soon_threadsafe(server.closing.set)
        thread.join(20)
