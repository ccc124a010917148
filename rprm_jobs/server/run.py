"""Run the service with uvicorn until it is stopped."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable

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
    """Uvicorn that tells whoever waits for a judge to ask again, before it waits for open requests to end."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop; requests that run are finished first."""
        self._app.state.service.stopping = True
        self._app.state.lane.drain()
        await super().shutdown(sockets)


def serve(options: ServiceOptions, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; requests that run are finished first. Raises ConfigError, NotFound, StoreError."""
    if (options.tls_cert is None) != (options.tls_key is None):
        raise ConfigError("TLS needs a certificate and its key", hint="give --tls-cert and --tls-key")
    with connected() as context:
        app = create_app(context, options)
        refuse_open(app.state.service)
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
        # Uvicorn raises the signal again when all is done: that it was asked to stop is no failure.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        say(f"serving on {options.url}; {options.url}/v1/openapi.json describes the API")
        Server(config, app).run()
