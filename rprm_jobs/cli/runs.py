"""`runs`: list what was trained, on what and how, and show how a run went."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rprm_jobs.cli.shared.command import TRAINING, Rule, add_command, excludes
from rprm_jobs.cli.shared.common import print_json, say
from rprm_jobs.cli.shared.complete import complete_run
from rprm_jobs.cli.shared.options import JsonOption
from rprm_jobs.launch.servers import connected
from rprm_jobs.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rprm_jobs.store.training.runs import Logged, Run

_SHOWN = (
    "loss", "learning_rate", "logps/chosen", "logps/rejected", "rewards/margins", "rewards/accuracies",
    "mean_token_accuracy",
)  # fmt: skip


_PIPE_WIDTH = 80


def runs(
    run: Annotated[
        int | None,
        typer.Argument(
            metavar="RUN",
            min=1,
            max=2**63 - 1,
            help="Show this run, with its metrics by step.",
            autocompletion=complete_run,
        ),
    ] = None,
    plot: Annotated[bool, typer.Option("--plot", help="Draw the run's curves.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the training runs, newest first, or show one.

    Of preference training watch `logps/chosen`: when it falls, the judge unlearns what it should say.
    """
    from rprm_jobs.services.training.runs import get_run, list_runs

    with connected() as context:
        if run is None:
            listed = list_runs(context)
            if as_json:
                print_json([_as_json(row) for row in listed])
            else:
                _print_list(listed)
            return
        shown, logged = get_run(context, run)
    if as_json:
        print_json({**_as_json(shown), "log": [asdict(entry) for entry in logged]})
    elif plot:
        _plot(shown, logged)
    else:
        _print_run(shown, logged)


def _as_json(run: Run) -> dict[str, Any]:
    fields = asdict(run)
    return {"id": fields.pop("id"), **fields.pop("started"), **fields}


def _print_list(listed: list[Run]) -> None:
    from rprm_jobs.cli.shared.tables import Table, print_table
    from rprm_jobs.judge.hub import brief

    names = ("run", "phase", "state", "step", "loss", "eval", "seen", "judge", "data", "folder")
    table = Table(names, left=("phase", "state", "seen"), below=("judge", "data", "folder"))
    for run in listed:
        start = run.started
        table.add_row(
            str(run.id), start.phase.value, run.state.value,
            f"{run.step}/{start.total_steps}",
            _number(run.metrics.get("loss")), _number(run.metrics.get("eval_loss")),
            f"{run.seen_at:%Y-%m-%d %H:%MZ}", brief(start.judge), start.data, start.folder,
        )  # fmt: skip
    print_table(table)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _print_run(run: Run, logged: Sequence[Logged]) -> None:
    from rprm_jobs.cli.shared.tables import Table, print_table

    start = run.started
    print(_head(run))
    rows = f"{counted(start.n_train, 'row')}, {start.n_validation:,} to validate"
    print(f"data: {start.data}, {rows}, {start.data_digest[:12]}")
    print(f"folder: {start.folder} on {start.host}")
    print("recipe: " + ", ".join(f"{name} {value}" for name, value in start.recipe.items()))
    if run.error:
        print(f"error: {run.error}")
    if not logged:
        say("nothing is logged yet")
        return
    names = [name for name in _SHOWN if any(name in _bare(entry) for entry in logged)]
    table = Table(("step", "split", *names), left=("split",))
    for entry in logged:
        bare = _bare(entry)
        split = "validation" if entry.validation else "train"
        table.add_row(str(entry.step), split, *(_number(bare.get(name)) for name in names))
    print_table(table)


def _head(run: Run) -> str:
    start = run.started
    return f"run {run.id}: {start.phase.value} of {start.judge}, {run.state.value}, step {run.step}/{start.total_steps}"


def _plot(run: Run, logged: Sequence[Logged]) -> None:
    from rprm_jobs.cli.shared.plots import curve
    from rprm_jobs.cli.shared.tables import terminal_width

    print(_head(run))
    drawn = False
    for name in (name for name in _SHOWN if name != "learning_rate"):
        for validation in (False, True):
            points = [
                (float(entry.step), bare[name])
                for entry in logged
                if entry.validation is validation and name in (bare := _bare(entry))
            ]
            if points:
                print()
                title = f"{name}{', validation' if validation else ''}, by step"
                print("\n".join(curve(title, points, width=terminal_width() or _PIPE_WIDTH)))
                drawn = True
    if not drawn:
        say("nothing is logged yet")


def _bare(entry: Logged) -> dict[str, float]:
    return {name.removeprefix("eval_"): value for name, value in entry.metrics.items()}


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(
        app,
        runs,
        "rprm-jobs runs",
        "rprm-jobs runs 3 --plot",
        group=TRAINING,
        rules=(
            Rule(
                ("plot",), lambda values: values["run"] is not None, "without RUN", "name a run, or leave out {option}"
            ),
            excludes("as_json", "plot"),
        ),
    )
