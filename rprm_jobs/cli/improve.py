"""`improve`: rounds of sampling, pairs, DPO and evaluation, until the judge gets no better."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rprm_jobs.cli.shared.common import (
    CritiquesOption,
    EngineArgOption,
    EngineOption,
    JsonOption,
    JudgeOption,
    connected,
    print_json,
    say,
)
from rprm_jobs.cli.shared.judging import SeedOption, WorkerOption
from rprm_jobs.cli.shared.waiting import wait_for
from rprm_jobs.errors import ConfigError

if TYPE_CHECKING:
    from rprm_jobs.launch.improve import Round


def improve(
    labelled: Annotated[list[str], typer.Argument(help="Labelled solutions, as `sample` takes them.")],
    validate: Annotated[
        list[str], typer.Option("--validate", help="Labelled solutions as in ProcessBench, not trained on; repeatable.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Where the judges go: a folder for each round.")],
    judge: JudgeOption = "tiny",
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Rounds at most.")] = 3,
    k: CritiquesOption = 8,
    eval_k: Annotated[int, typer.Option("--eval-critiques", min=1, help="Critiques a step of the evaluation.")] = 4,
    seed: SeedOption = 0,
    train_arg: Annotated[
        list[str] | None,
        typer.Option("--train-arg", metavar="KEY=VALUE", help="An option of `train dpo`; repeatable."),
    ] = None,
    worker: WorkerOption = True,
    engine: EngineOption = "auto",
    engine_arg: EngineArgOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sample, build pairs, train with DPO, evaluate, and again with the better judge; rerun to go on where it was."""
    from rprm_jobs.launch.improve import Loop
    from rprm_jobs.launch.improve import improve as run

    loop = Loop(
        tuple(labelled), tuple(validate), judge, out, rounds, k, eval_k, seed, training_options(train_arg or ()),
        engine, tuple(engine_arg or ()), worker, wait_for, say,
    )  # fmt: skip
    done: list[Round] = []
    with connected() as context:
        for one in run(context, loop):
            done.append(one)
            say(f"round {one.number}: F1 {one.f1:.1f} with {eval_k} critiques a step")
    best = max(done, key=lambda one: one.f1)
    if as_json:
        print_json({"rounds": [asdict(one) for one in done], "best": best.judge})
    else:
        _show(done)
        say(f"the best judge is {best.judge}")


def training_options(pairs: list[str] | tuple[()]) -> tuple[str, ...]:
    """`learning-rate=1e-5` as the training program takes it. Raises ConfigError for one without a value."""
    words: list[str] = []
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals and value):
            raise ConfigError(f"--train-arg {pair}: not KEY=VALUE", hint="e.g. --train-arg learning-rate=1e-6")
        words.append(f"--{key.replace('_', '-')}={value}")
    return tuple(words)


def _show(rounds: list[Round]) -> None:
    from rprm_jobs.cli.shared.tables import new_table, print_table

    table = new_table("round", "judge", "pairs", "validation", "ordered rightly", "F1", "missing", left=("judge",))
    for one in rounds:
        table.add_row(
            str(one.number), one.judge, _count(one.pairs), _count(one.validation_pairs),
            "" if one.accuracy is None else f"{100 * one.accuracy:.1f}%", f"{one.f1:.1f}", str(one.missing),
        )  # fmt: skip
    print_table(table)


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(improve)
