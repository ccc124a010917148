"""`serve`: the HTTP service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rprm_jobs.cli.shared.command import SERVERS, add_command, needs
from rprm_jobs.cli.shared.common import say
from rprm_jobs.errors import MissingExtra

# Headings of its help.
LIMITS, TLS = "Limits", "TLS"


def serve(
    host: Annotated[str, typer.Option("--host", metavar="HOST", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="PORT", help="The port to listen on.", min=1, max=65535)
    ] = 8000,
    judge: Annotated[
        list[str] | None,
        typer.Option(
            "--judge",
            metavar="JUDGE",
            help="A judge to offer beside the shipped ones, repeatable: a folder, a hub id, or endpoint:MODEL. The"
            " first is the one for rewards that name none.",
        ),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option(
            "-k",
            "--critiques",
            metavar="K",
            help="Critiques of each step for rewards.",
            min=1,
            show_default="the judge's own",
        ),
    ] = None,
    max_body: Annotated[
        int, typer.Option("--max-body", metavar="BYTES", help="Largest body.", min=1024, rich_help_panel=LIMITS)
    ] = 32 * 1024 * 1024,
    max_rows: Annotated[
        int, typer.Option("--max-rows", metavar="N", help="Most rows in a body.", min=1, rich_help_panel=LIMITS)
    ] = 100_000,
    max_upload: Annotated[
        int,
        typer.Option("--max-upload", metavar="BYTES", help="Largest uploaded file.", min=1, rich_help_panel=LIMITS),
    ] = 4 * 1024**3,
    rate: Annotated[
        float,
        typer.Option("--rate", metavar="N", help="Requests a second of each token.", min=1, rich_help_panel=LIMITS),
    ] = 2000.0,
    tls_cert: Annotated[
        Path | None,
        typer.Option("--tls-cert", metavar="FILE", help="A certificate with its chain, PEM.", rich_help_panel=TLS),
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option("--tls-key", metavar="FILE", help="Its key, PEM.", rich_help_panel=TLS)
    ] = None,
    proxy: Annotated[
        str | None,
        typer.Option(
            "--proxy",
            metavar="IP,...",
            help="Believe the X-Forwarded headers of these proxies, which end TLS.",
            rich_help_panel=TLS,
        ),
    ] = None,
) -> None:
    """Serve jobs and rewards over HTTP until stopped.

    On the loopback no token is needed until there is one; elsewhere the service starts only with tokens.
    """
    try:
        from rprm_jobs.server.run import serve as run
        from rprm_jobs.server.state import ServiceOptions
    except ModuleNotFoundError as error:
        raise MissingExtra(f"{error.name} is not installed", hint="pip install 'rprm-jobs[serve]'") from error
    options = ServiceOptions(
        host, port, tuple(judge or ()), k, max_body, max_rows, max_upload, rate,
        tls_cert=tls_cert, tls_key=tls_key, proxies=proxy,
    )  # fmt: skip
    run(options, say)


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(
        app,
        serve,
        "rprm-jobs serve --port 8000",
        "rprm-jobs serve --host 0.0.0.0 --judge ORG/MODEL --tls-cert cert.pem --tls-key key.pem",
        group=SERVERS,
        rules=(needs("tls_cert", "tls_key"),),
    )
