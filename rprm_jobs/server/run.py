"""Run the application with uvicorn until it is stopped."""

from __future__ import annotations

import uvicorn
from fastapi import FastAPI

from rprm_jobs.server.state import ServiceOptions

# Requests that run get this long, in seconds, after SIGTERM.
_GRACE_S = 20


def run(app: FastAPI, options: ServiceOptions) -> None:
    """Serve until SIGTERM or SIGINT; requests that run are finished first."""
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        log_level="info",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
