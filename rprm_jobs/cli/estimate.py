"""`estimate` and `parity`: what a job would cost, and whether the engine reads P(Yes) as the paper does."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from rprm_jobs.cli.shared.common import (
    CritiquesOption,
    EngineArgOption,
    EngineOption,
    JsonOption,
    JudgeOption,
    KeepOption,
    SeparatorOption,
    SplitOption,
    connected,
    human_bytes,
    human_time,
    print_json,
)
from rprm_jobs.types import KeepCritiques

if TYPE_CHECKING:
    from rprm_jobs.judge.resolve import Judge


def estimate(
    files: Annotated[list[str], typer.Argument(help="The same as for submit.")],
    judge: JudgeOption = "tiny",
    k: CritiquesOption = 10,
    keep_critiques: KeepOption = KeepCritiques.ALL,
    step_separator: SeparatorOption = None,
    split: SplitOption = None,
    tokens_per_s: Annotated[
        float | None, typer.Option("--tokens-per-s", min=0.001, help="Generated tokens/s of all workers [measured].")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what judging these solutions would cost, before anything is spent."""
    from rprm_jobs.formats import ReadOptions
    from rprm_jobs.judge.resolve import resolve_judge
    from rprm_jobs.services.jobs.estimate import estimate as estimate_cost
    from rprm_jobs.services.jobs.submit import make_recipe

    found = resolve_judge(judge)
    with connected() as context:
        cost = estimate_cost(
            context,
            tuple(files),
            make_recipe(found, k=k),
            ReadOptions(step_separator, split),
            keep=keep_critiques,
            tokens_per_s=tokens_per_s,
            count_tokens=_tokenizer(found),
        )
    if as_json:
        print_json(asdict(cost))
        return
    source = "measured on this store" if cost.measured else "as published, nothing is measured here yet"
    print(f"{cost.solutions:,} solutions, {cost.steps:,} steps, {cost.critiques:,} critiques")
    if cost.refused:
        print(f"  {cost.refused:,} rows would be refused")
    print(f"  prompts   {cost.prompt_tokens:,} tokens, {cost.distinct_prompt_tokens:,} with a prefix cache")
    print(f"  critiques {cost.critique_tokens:,} tokens ({source})")
    time = "unknown: say --tokens-per-s" if cost.seconds is None else human_time(cost.seconds)
    print(f"  time      {time}" + (f" at {cost.tokens_per_s:,.0f} tokens/s" if cost.tokens_per_s else ""))
    print(f"  database  {human_bytes(cost.bytes)}")


def _tokenizer(judge: Judge) -> Callable[[str], int] | None:
    """The judge's own count of tokens where its tokenizer lies here and the tokenizers library is installed."""
    from pathlib import Path

    file = Path(judge.location) / "tokenizer.json"
    if not file.is_file():
        return None
    try:
        from tokenizers import Tokenizer
    except ImportError:
        return None
    tokenizer = Tokenizer.from_file(str(file))
    return lambda text: len(tokenizer.encode(text).ids)


def parity(
    files: Annotated[
        list[str] | None, typer.Argument(help="Solutions to take steps from [the shipped examples].")
    ] = None,
    judge: JudgeOption = "tiny",
    k: Annotated[int, typer.Option("-k", "--critiques", min=1, help="Critiques a step.")] = 4,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Steps to sample.")] = 50,
    seed: Annotated[int, typer.Option(help="Which steps, and which critiques.")] = 0,
    tolerance: Annotated[float, typer.Option(help="Largest difference of P(Yes) that passes.")] = 1e-4,
    engine: EngineOption = "auto",
    engine_arg: EngineArgOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare P(Yes) of the generating pass with the paper's second pass; exit 1 when they differ."""
    from rprm_jobs.cli.demo import examples

    command = [sys.executable, "-m", "workers.parity", "--judge", judge, "--engine", engine, "-k", str(k)]
    command += ["--steps", str(steps), "--seed", str(seed), "--tolerance", str(tolerance)]
    for pair in engine_arg or ():
        command += ["--engine-arg", pair]
    command += ["--json"] if as_json else []
    os.execv(command[0], [*command, *(files or [str(examples())])])


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(estimate)
    app.command()(parity)
