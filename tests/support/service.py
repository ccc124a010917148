"""The service on a real socket, in a thread of the test's process; started, stopped, and started again on its port."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from rprm_jobs.server.app import create_app
from rprm_jobs.server.run import Server
from rprm_jobs.server.state import ServiceOptions
from rprm_jobs.services.context import Context
from tests.support.jobs import wait_for


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_service(context: Context, options: ServiceOptions | None = None) -> Iterator[str]:
    """Its URL."""
    options = options or ServiceOptions(port=free_port())
    app = create_app(context, options)
    server = Server(uvicorn.Config(app, port=options.port, log_level="warning", timeout_graceful_shutdown=3), app)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_for(lambda: server.started, within=20, what="the service listens")
        yield options.url
    finally:
        server.should_exit = True
        thread.join(20)
