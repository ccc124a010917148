"""`estimate`: what a job would cost, before anything is spent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from rprm_jobs.cli.shared.command import JOBS, add_command
from rprm_jobs.cli.shared.common import human_bytes, human_time, print_json, say
from rprm_jobs.cli.shared.options import (
    FamilyCritiquesOption,
    FamilyOption,
    FilesArgument,
    JsonOption,
    JudgeOption,
    KeepOption,
)
from rprm_jobs.cli.shared.reading import reading_options
from rprm_jobs.launch.servers import connected
from rprm_jobs.types import KeepCritiques

if TYPE_CHECKING:
    from rprm_jobs.formats import ReadOptions
    from rprm_jobs.judge.resolve import Judge


@reading_options
def estimate(
    files: FilesArgument,
    judge: JudgeOption = "tiny",
    family: FamilyOption = None,
    k: FamilyCritiquesOption = None,
    keep_critiques: KeepOption = KeepCritiques.ALL,
    tokens_per_s: Annotated[
        float | None,
        typer.Option(
            "--tokens-per-s",
            metavar="N",
            min=0.001,
            help="Tokens that all workers generate in a second.",
            show_default="as measured",
        ),
    ] = None,
    as_json: JsonOption = False,
    *,
    reading: ReadOptions,
) -> None:
    """Estimate what a job would cost in tokens, time and storage.

    Nothing is submitted and nothing is judged.
    """
    from rprm_jobs.judge.resolve import resolve_judge
    from rprm_jobs.services.jobs.estimate import estimate as estimate_cost
    from rprm_jobs.services.jobs.submit import make_recipe

    resolved = resolve_judge(judge, family)
    with connected() as context:
        cost = estimate_cost(
            context,
            tuple(files),
            make_recipe(resolved, k=k),
            reading,
            keep=keep_critiques,
            tokens_per_s=tokens_per_s,
            count_tokens=_tokenizer(resolved),
        )
    if as_json:
        print_json(asdict(cost))
        return
    for line in cost.read_as:
        say(line)
    source = "measured on this store" if cost.measured else "as published; nothing is measured here yet"
    print(f"{cost.solutions:,} solutions, {cost.steps:,} steps, {cost.critiques:,} critiques")
    if cost.refused:
        print(f"  {cost.refused:,} rows would be refused")
    print(f"  prompts   {cost.prompt_tokens:,} tokens, {cost.distinct_prompt_tokens:,} with a prefix cache")
    print(f"  critiques {cost.critique_tokens:,} tokens ({source})")
    time = "unknown; give --tokens-per-s" if cost.seconds is None else human_time(cost.seconds)
    print(f"  time      {time}" + (f" at {cost.tokens_per_s:,.0f} tokens/s" if cost.tokens_per_s else ""))
    print(f"  database  {human_bytes(cost.bytes)}")


def _tokenizer(judge: Judge) -> Callable[[str], int] | None:
    """Counts tokens as the judge does, if its tokenizer is a local file and the tokenizers library is installed."""
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


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, estimate, "rprm-jobs estimate solutions.jsonl --judge tiny -k 16", group=JOBS)
