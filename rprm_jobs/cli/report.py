"""`report`: a job as one HTML page, with curves and a viewer of its solutions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rprm_jobs.cli.shared.common import JsonOption, connected, human_bytes, print_json, say
from rprm_jobs.errors import ConfigError


def report(
    job: Annotated[int, typer.Argument(min=1, help="A job that has judged something.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page's file.")] = Path("report.html"),
    sample: Annotated[int, typer.Option("--sample", min=1, help="Solutions that the curves are drawn from.")] = 5000,
    shown: Annotated[int, typer.Option("--shown", min=0, help="Solutions that can be read on the page.")] = 100,
    seed: Annotated[int, typer.Option(help="Of the sample.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Write a page about a job: F1 against K and threshold, calibration, and its solutions step by step."""
    from rprm_jobs.report.page import render
    from rprm_jobs.services.evaluation.report import read_report

    if not output.parent.is_dir() or output.is_dir():
        raise ConfigError(f"{output}: a file cannot stand there", hint="choose another -o, in a folder that is there")
    with connected() as context:
        data = read_report(context, job, sample=sample, shown=shown, seed=seed)
        page = render(data)
    try:
        output.write_text(page, encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(
            f"{output}: the page cannot be written: {error.strerror}", hint="choose a writable folder with room"
        ) from error
    size = output.stat().st_size
    if as_json:
        sizes = {"sample": len(data.sample), "shown": len(data.shown), "bytes": size}
        print_json({"job_id": job, "output": str(output), **sizes})
    else:
        say(f"{human_bytes(size)}, {len(data.shown):,} of {len(data.sample):,} solutions to be read")
        print(output)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)
