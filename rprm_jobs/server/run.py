"""Run the service with uvicorn until it is stopped."""

from __future__ import annotations

import errno
import signal
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi import FastAPI

from rprm_jobs.errors import ConfigError
from rprm_jobs.launch.servers import connected
from rprm_jobs.server.access import refuse_open
from rprm_jobs.server.app import create_app
from rprm_jobs.server.state import ServiceOptions

# Requests that run get this long, in seconds, after SIGTERM.
_GRACE_S = 20
# Longer than clients keep idle connections, mostly 15 to 60 s: one that is closed while a client uses it again is an
# error to a client that does not try twice.
_KEEP_ALIVE_S = 75
# Connections beyond are answered 503: each costs memory, and somebody may open them all.
_MOST_CONNECTIONS = 4096


class Server(uvicorn.Server):
    """Uvicorn that says when it serves, stops whenever it is asked to, and tells who waits for a judge to ask again."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, ready: Callable[[], None] = lambda: None) -> None:
        super().__init__(config)
        self._app, self._ready = app, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen. `ready` is called when requests are taken, unless it is to stop already."""
        await super().startup(sockets)
        if not self.should_exit:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop; requests that run are finished first."""
        self._app.state.service.stopping = True
        self._app.state.lane.drain()
        await super().shutdown(sockets)

    def stop(self, *_: object) -> None:
        """Stop as soon as it can: what a signal means before uvicorn listens to signals itself, and after."""
        self.should_exit = True


def serve(options: ServiceOptions, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; requests that run are finished first. Raises ConfigError, NotFound, StoreError."""
    if (options.tls_cert is None) != (options.tls_key is None):
        raise ConfigError("TLS needs a certificate and its key", hint="give --tls-cert and --tls-key")
    with connected() as context:
        app = create_app(context, options)
        refuse_open(app.state.service)
        config = _config(app, options)
        said = f"serving on {options.url}; {options.url}/v1/openapi.json describes the API"
        server = Server(config, app, lambda: say(said))
        for number in (signal.SIGTERM, signal.SIGINT):
            # Uvicorn raises the signal again when all is done: that it was asked to stop is no failure.
            signal.signal(number, server.stop)
        server.run(_listening(options.host, options.port))


def _config(app: FastAPI, options: ServiceOptions) -> uvicorn.Config:
    """Uvicorn's own options, with the certificate read. Raises ConfigError for one that cannot be used."""
    config = uvicorn.Config(
        app,
        host=options.host,
        port=options.port,
        ssl_certfile=options.tls_cert,
        ssl_keyfile=options.tls_key,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=options.proxies is not None,
        forwarded_allow_ips=options.proxies,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=_GRACE_S,
        timeout_keep_alive=_KEEP_ALIVE_S,
    )
    try:
        config.load()
    except OSError as error:
        raise ConfigError(
            f"the certificate and its key cannot be used: {error.strerror or error}",
            where=f"{options.tls_cert}, {options.tls_key}",
            hint="name files that can be read, in PEM, the key that of the certificate: --tls-cert and --tls-key",
        ) from error
    return config


def _listening(host: str, port: int) -> list[socket.socket]:
    """Sockets on every address of the host. Raises ConfigError where there is none, or another program has the port."""
    sockets: list[socket.socket] = []
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, address in dict.fromkeys((family, address) for family, _, _, _, address in addresses):
            sockets.append(_bound(family, address))
    except OSError as error:
        for bound in sockets:
            bound.close()
        busy = error.errno == errno.EADDRINUSE
        raise ConfigError(
            f"it cannot listen on {host}:{port}: {error.strerror or error}",
            hint="choose another --port, or stop what serves there" if busy else "choose an address with --host",
        ) from error
    return sockets


def _bound(family: int, address: Any) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # The addresses of IPv4 have a socket of their own.
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound
