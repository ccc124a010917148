"""`parity`: check that an engine reads P(Yes) as the paper does."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from rprm_jobs.cli.shared.command import ANSWERS, add_command
from rprm_jobs.cli.shared.options import CritiquesOption, EngineArgOption, EngineOption, JsonOption, JudgeOption


def parity(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE", help="Solutions to take steps from.", show_default="the shipped examples"),
    ] = None,
    judge: JudgeOption = "tiny",
    k: CritiquesOption = 4,
    steps: Annotated[int, typer.Option("--steps", metavar="N", min=1, help="Steps to compare.")] = 50,
    seed: Annotated[int, typer.Option(help="Seed of the choice of steps and of every critique.")] = 0,
    tolerance: Annotated[float, typer.Option(help="Largest difference of P(Yes) that passes.")] = 1e-4,
    engine: EngineOption = "auto",
    engine_arg: EngineArgOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare P(Yes) as read while generating with a second pass.

    The paper reads P(Yes) in a second pass over the finished critique. Exit status 1 when the two differ.
    """
    from rprm_jobs.cli.demo import examples

    command = [sys.executable, "-m", "workers.parity", "--judge", judge, "--engine", engine, "-k", str(k)]
    command += ["--steps", str(steps), "--seed", str(seed), "--tolerance", str(tolerance)]
    for pair in engine_arg or ():
        command += ["--engine-arg", pair]
    command += ["--json"] if as_json else []
    os.execv(command[0], [*command, *(files or [str(examples())])])


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, parity, "rprm-jobs parity --judge ORG/MODEL --engine vllm", group=ANSWERS)
