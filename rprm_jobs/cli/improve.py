"""`improve`: rounds of sampling, pairs, DPO and evaluation, until the judge gets no better."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rprm_jobs.cli.shared.command import TRAINING, add_command
from rprm_jobs.cli.shared.common import print_json, say
from rprm_jobs.cli.shared.options import (
    INPUT,
    CritiquesOption,
    EngineArgOption,
    EngineOption,
    JsonOption,
    JudgeOption,
    OwnWorkerOption,
    SeedOption,
)
from rprm_jobs.cli.shared.places import not_standard_output
from rprm_jobs.cli.shared.submitting import NO_WORKER_RULE
from rprm_jobs.cli.shared.waiting import wait_until_done
from rprm_jobs.errors import ConfigError
from rprm_jobs.launch.servers import connected
from rprm_jobs.words import counted

if TYPE_CHECKING:
    from rprm_jobs.launch.improve import Round


def improve(
    labelled: Annotated[
        list[str], typer.Argument(metavar="FILE", help="Labelled solutions, as `rprm-jobs sample` takes them.")
    ],
    validate: Annotated[
        list[str],
        typer.Option(
            "--validate", metavar="FILE", help="Labelled solutions to evaluate on, never trained on; repeatable."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FOLDER",
            help="The folder for the judges, one sub-folder a round.",
            callback=not_standard_output("judges"),
        ),
    ],
    judge: JudgeOption = "tiny",
    rounds: Annotated[int, typer.Option("--rounds", metavar="N", min=1, help="Number of rounds at most.")] = 3,
    k: CritiquesOption = 8,
    eval_k: Annotated[
        int, typer.Option("--eval-critiques", metavar="K", min=1, help="Critiques of each step when evaluating.")
    ] = 4,
    seed: SeedOption = 0,
    train_arg: Annotated[
        list[str] | None,
        typer.Option("--train-arg", metavar="KEY=VALUE", help="An option of `rprm-jobs train dpo`; repeatable."),
    ] = None,
    skip_shared: Annotated[
        bool,
        typer.Option(
            "--skip-shared", help="Leave problems of the validation files out of training.", rich_help_panel=INPUT
        ),
    ] = False,
    worker: OwnWorkerOption = True,
    engine: EngineOption = "auto",
    engine_arg: EngineArgOption = None,
    as_json: JsonOption = False,
) -> None:
    """Improve a judge in rounds of sampling, DPO and evaluation.

    Each round starts from the judge of the round before, until F1 gets no better. Options, files and folder are checked
    before anything is spent. Run the same command again to continue where it stopped.
    """
    from rprm_jobs.launch.improve import Loop
    from rprm_jobs.launch.improve import improve as run

    loop = Loop(
        tuple(labelled), tuple(validate), judge, out, rounds, k, eval_k, seed, training_options(train_arg or ()),
        engine, tuple(engine_arg or ()), worker, wait_until_done, say, skip_shared,
    )  # fmt: skip
    done: list[Round] = []
    with connected() as context:
        for result in run(context, loop):
            done.append(result)
            say(f"round {result.number}: F1 {result.f1:.1f} with {counted(eval_k, 'critique')} a step")
    best = max(done, key=lambda result: result.f1)
    if as_json:
        print_json({"rounds": [asdict(result) for result in done], "best": best.judge})
    else:
        _show(done)
        say(f"the best judge is {best.judge}")


def training_options(pairs: list[str] | tuple[()]) -> tuple[str, ...]:
    """`learning-rate=1e-5` as the training program takes it. Raises ConfigError for one without a value."""
    words: list[str] = []
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals and value):
            raise ConfigError(f"--train-arg {pair} is not KEY=VALUE", hint="for example --train-arg learning-rate=1e-6")
        words.append(f"--{key.replace('_', '-')}={value}")
    return tuple(words)


def _show(rounds: list[Round]) -> None:
    from rprm_jobs.cli.shared.tables import Table, print_table

    table = Table(("round", "judge", "pairs", "validation", "ordered rightly", "F1", "missing"), below=("judge",))
    for row in rounds:
        table.add_row(
            str(row.number), row.judge, _count(row.pairs), _count(row.validation_pairs),
            "" if row.accuracy is None else f"{100 * row.accuracy:.1f}%", f"{row.f1:.1f}", str(row.missing),
        )  # fmt: skip
    print_table(table)


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(
        app,
        improve,
        "rprm-jobs improve labelled.jsonl --validate held-out.jsonl --judge tiny --out judges/",
        group=TRAINING,
        rules=(NO_WORKER_RULE,),
    )
