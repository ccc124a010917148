"""What `submit` and `sample` share: the options of a submission, how it is announced, and staying until it ends."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rprm_jobs.cli.shared.common import human_bytes, print_json, say
from rprm_jobs.errors import ConfigError

if TYPE_CHECKING:
    from rprm_jobs.services.context import Context
    from rprm_jobs.services.jobs.submit import Submission

FilesArgument = Annotated[
    list[str], typer.Argument(help="JSONL (.gz, .zst), Parquet, a folder, a saved data set, a hub id, or -.")
]
PromptOption = Annotated[Path | None, typer.Option("--prompt", help="A judge prompt file instead of the judge's.")]
SeedOption = Annotated[int, typer.Option(help="Seed of every critique.")]
TemperatureOption = Annotated[float | None, typer.Option(help="Sampling temperature [judge's].")]
TopPOption = Annotated[float | None, typer.Option("--top-p", help="Nucleus sampling [judge's].")]
MaxNewTokensOption = Annotated[
    int | None, typer.Option("--max-new-tokens", help="Longest critique in tokens [judge's].")
]
PriorityOption = Annotated[int, typer.Option(help="Higher is judged first.")]
SkipBadOption = Annotated[bool, typer.Option("--skip-bad", help="Submit the good rows, write the bad ones out.")]
NewOption = Annotated[bool, typer.Option("--new", help="Make a new job even if an equal one exists.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Stay until the job has ended.")]
WorkerOption = Annotated[
    bool, typer.Option("--worker/--no-worker", help="With --wait: start a worker if none serves the judge.")
]


def refuse_idle_engine(wait: bool, engine: str, engine_arg: list[str] | None) -> None:
    """Raises ConfigError when an engine is chosen for a worker that nothing starts."""
    if not wait and (engine != "auto" or engine_arg):
        raise ConfigError(
            "--engine and --engine-arg are for the worker that --wait starts", hint="add --wait, or leave them out"
        )


def announce(made: Submission, k: int) -> None:
    """Say what the job is and what it takes, on stderr."""
    found = "" if made.created else " (found: the same solutions and recipe were submitted before)"
    say(f"job {made.job_id}{found}: {made.solutions:,} solutions, {made.steps:,} steps")
    say(f"  at most {made.critiques:,} critiques ({k} a step), about {human_bytes(made.bytes)} in the database")
    if made.refused:
        say(f"  {made.refused:,} bad rows left out: {', '.join(made.refused_files)}")


def conclude(
    context: Context,
    made: Submission,
    *,
    wait: bool,
    worker: tuple[str, str, list[str] | None] | None,
    as_json: bool,
    more: dict[str, Any] | None = None,
) -> None:
    """Wait when asked to, with a worker of (judge, engine, engine options) where none serves; then print the answer."""
    result: dict[str, Any] = {**asdict(made), **(more or {})}
    if wait:
        from rprm_jobs.cli.shared.waiting import wait_for
        from rprm_jobs.launch.workers import WorkerChoice

        choice = None if worker is None else WorkerChoice(worker[0], worker[1], tuple(worker[2] or ()))
        result.update(wait_for(context, made.job_id, choice))
    if as_json:
        print_json(result)
    else:
        print(made.job_id)
