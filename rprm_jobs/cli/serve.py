"""`serve`: the HTTP service."""

from __future__ import annotations

from typing import Annotated

import typer

from rprm_jobs.cli.shared.command import SERVERS, add_command
from rprm_jobs.cli.shared.common import say
from rprm_jobs.errors import MissingExtra
from rprm_jobs.launch.servers import connected


def serve(
    host: Annotated[str, typer.Option("--host", metavar="HOST", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="PORT", help="The port to listen on.", min=1, max=65535)
    ] = 8000,
) -> None:
    """Serve jobs and rewards over HTTP until stopped."""
    try:
        from rprm_jobs.server.app import create_app
        from rprm_jobs.server.run import run
        from rprm_jobs.server.state import ServiceOptions
    except ModuleNotFoundError as error:
        raise MissingExtra(f"{error.name} is not installed", hint="pip install 'rprm-jobs[serve]'") from error
    options = ServiceOptions(host, port)
    with connected() as context:
        app = create_app(context, options)
        say(f"serving on http://{host}:{port}, its API is described at /v1/openapi.json")
        run(app, options)


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, serve, "rprm-jobs serve --port 8000", group=SERVERS)
