"""`compare`: what several judges say of the same solutions, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rprm_jobs.cli.shared.command import ANSWERS, add_command, needs
from rprm_jobs.cli.shared.common import say
from rprm_jobs.cli.shared.options import JsonOption
from rprm_jobs.cli.shared.places import not_standard_output
from rprm_jobs.errors import ConfigError
from rprm_jobs.launch.servers import connected


def compare(
    jobs: Annotated[list[int], typer.Argument(metavar="JOB...", help="Jobs that judged the same solutions.", min=1)],
    page: Annotated[
        Path | None,
        typer.Option(
            "--page",
            metavar="FILE",
            help="Write the differing solutions as an HTML page.",
            callback=not_standard_output("compare.html"),
        ),
    ] = None,
    shown: Annotated[int, typer.Option("--shown", metavar="N", min=0, help="Solutions on the page.")] = 50,
    seed: Annotated[int, typer.Option(help="Seed of the intervals and of the page's sample.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare judges on the solutions that all the jobs judged.

    F1, PRMScore, accuracy by position, tokens and seconds a solution, kappa, and intervals of the differences.
    """
    from rprm_jobs.cli.shared.comparing import show_comparison, write_page
    from rprm_jobs.services.evaluation.comparing import compare_jobs

    if page is not None and (not page.parent.is_dir() or page.is_dir()):
        raise ConfigError("is not a place for a file", where=str(page), hint="name a file: --page compare.html")
    with connected() as context:
        compared = compare_jobs(context, jobs, shown=0 if page is None else shown, seed=seed)
    if page is not None:
        from rprm_jobs.report.comparison import render

        write_page(render(compared), page)
        say(f"{len(compared.shown):,} of {compared.differ:,} differing solutions can be read: {page}")
    show_comparison(compared, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(
        app,
        compare,
        "rprm-jobs compare 7 8",
        "rprm-jobs compare 7 8 9 --page compare.html",
        group=ANSWERS,
        rules=(needs("page", "shown"),),
    )
