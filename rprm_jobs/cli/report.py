"""`report`: write a job as one HTML page, with curves and a viewer of its solutions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rprm_jobs.cli.shared.command import ANSWERS, add_command
from rprm_jobs.cli.shared.common import human_bytes, print_json, say
from rprm_jobs.cli.shared.options import JobArgument, JsonOption
from rprm_jobs.cli.shared.places import STANDARD_OUTPUT
from rprm_jobs.errors import ConfigError
from rprm_jobs.launch.servers import connected
from rprm_jobs.words import counted


def report(
    job: JobArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write; - is stdout.")
    ] = Path("report.html"),
    sample: Annotated[
        int, typer.Option("--sample", metavar="N", min=1, help="Solutions that the curves are drawn from.")
    ] = 5000,
    shown: Annotated[
        int, typer.Option("--shown", metavar="N", min=0, help="Solutions that can be read on the page.")
    ] = 100,
    calibrated: Annotated[
        str | None,
        typer.Option("--calibrated", metavar="NAME", help="Draw how reliable rewards calibrated so are, too."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the sample.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Write a page about a job: curves, and its solutions to read.

    The curves are F1 against K and against the threshold, calibration, and more. The file needs no network.
    """
    from rprm_jobs.report.page import render
    from rprm_jobs.services.evaluation.report import read_report

    if output == STANDARD_OUTPUT and as_json:
        raise ConfigError("--json and the page both go to standard output", hint="name a file: -o report.html")
    if not output.parent.is_dir() or output.is_dir():
        raise ConfigError(
            "is not a place for a file", where=str(output), hint="name a file in an existing folder: -o report.html"
        )
    with connected() as context:
        data = read_report(context, job, sample=sample, shown=shown, seed=seed, calibrated=calibrated)
        page = render(data)
    if output == STANDARD_OUTPUT:
        sys.stdout.write(page)
        return
    try:
        output.write_text(page, encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(
            f"the page cannot be written: {error.strerror}",
            where=str(output),
            hint="name a file in a writable folder: -o report.html",
        ) from error
    size = output.stat().st_size
    if as_json:
        sizes = {"sample": len(data.sample), "shown": len(data.shown), "bytes": size}
        print_json({"job_id": job, "output": str(output), **sizes})
    else:
        say(f"{human_bytes(size)}, {len(data.shown):,} of {counted(len(data.sample), 'solution')} can be read")
        print(output)


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(
        app, report, "rprm-jobs report 7 -o report.html", "rprm-jobs report 7 --calibrated prm800k", group=ANSWERS
    )
