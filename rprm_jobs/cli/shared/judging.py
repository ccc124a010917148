"""Options of the commands that judge before they answer."""

from __future__ import annotations

from typing import Annotated

import typer

JobOption = Annotated[int | None, typer.Option("--job", min=1, help="A job that judged these already.")]
SeedOption = Annotated[int, typer.Option(help="Seed of every critique.")]
WorkerOption = Annotated[bool, typer.Option("--worker/--no-worker", help="Start a worker if none serves the judge.")]
