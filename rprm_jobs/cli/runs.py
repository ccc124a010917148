"""`runs`: what was trained, on what and how, and how it went."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rprm_jobs.cli.shared.common import JsonOption, connected, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rprm_jobs.store.training.runs import Logged, Run

_SHOWN = ("loss", "learning_rate", "rewards/margins", "rewards/accuracies", "mean_token_accuracy")


def runs(
    run: Annotated[int | None, typer.Argument(metavar="[RUN]", help="Show this one, with its metrics by step.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the training runs, newest first, or show one."""
    from rprm_jobs.services.training.runs import get_run, list_runs

    with connected() as context:
        if run is None:
            found = list_runs(context)
            if as_json:
                print_json([_as_json(one) for one in found])
            else:
                _print_list(found)
            return
        one, logged = get_run(context, run)
    if as_json:
        print_json({**_as_json(one), "log": [asdict(entry) for entry in logged]})
    else:
        _print_run(one, logged)


def _as_json(run: Run) -> dict[str, Any]:
    told = asdict(run)
    return {"id": told.pop("id"), **told.pop("started"), **told}


def _print_list(found: list[Run]) -> None:
    from rprm_jobs.cli.shared.tables import new_table, print_table
    from rprm_jobs.judge.hub import brief

    left = ("phase", "judge", "data", "state", "seen", "folder")
    table = new_table("run", "phase", "judge", "data", "state", "step", "loss", "eval", "seen", "folder", left=left)
    for one in found:
        start = one.started
        table.add_row(
            str(one.id), start.phase.value, brief(start.judge), start.data, one.state.value,
            f"{one.step}/{start.total_steps}",
            _number(one.metrics.get("loss")), _number(one.metrics.get("eval_loss")),
            f"{one.seen_at:%Y-%m-%d %H:%M}", start.folder,
        )  # fmt: skip
    print_table(table)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _print_run(run: Run, logged: Sequence[Logged]) -> None:
    from rprm_jobs.cli.shared.tables import new_table, print_table

    start = run.started
    print(f"run {run.id}: {start.phase.value} of {start.judge}, {run.state.value}, step {run.step}/{start.total_steps}")
    print(f"data: {start.data}, {start.n_train:,} rows, {start.n_validation:,} to validate, {start.data_digest[:12]}")
    print(f"folder: {start.folder} on {start.host}")
    print("recipe: " + ", ".join(f"{name} {value}" for name, value in start.recipe.items()))
    if run.error:
        print(f"error: {run.error}")
    names = [name for name in _SHOWN if any(name in _bare(entry) for entry in logged)]
    table = new_table("step", "split", *names, left=("split",))
    for entry in logged:
        bare = _bare(entry)
        split = "validation" if entry.validation else "train"
        table.add_row(str(entry.step), split, *(_number(bare.get(name)) for name in names))
    print_table(table)


def _bare(entry: Logged) -> dict[str, float]:
    return {name.removeprefix("eval_"): value for name, value in entry.metrics.items()}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(runs)
