"""`demo`: the shipped judge on the shipped examples, shown as a person would want to see it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rprm_jobs.cli.shared.common import EngineOption, JsonOption, connected, print_json, say
from rprm_jobs.errors import NotFound

if TYPE_CHECKING:
    from rich.text import Text


def demo(
    k: Annotated[int, typer.Option("-k", "--critiques", min=1, help="Critiques a step.")] = 4,
    engine: EngineOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Judge the shipped examples with the tiny judge and show what it says."""
    from rprm_jobs.cli.shared.waiting import wait_for
    from rprm_jobs.formats import ReadOptions
    from rprm_jobs.judge.resolve import resolve_judge
    from rprm_jobs.launch.workers import WorkerChoice
    from rprm_jobs.services.jobs.results import result_rows
    from rprm_jobs.services.jobs.submit import SubmitRequest, make_recipe, submit

    recipe = make_recipe(resolve_judge("tiny"), k=k)
    with connected() as context:
        made = submit(context, SubmitRequest((str(examples()),), recipe, ReadOptions()))
        say(f"job {made.job_id}: {made.solutions} solutions, {made.steps} steps, {made.critiques} critiques to sample")
        wait_for(context, made.job_id, WorkerChoice("tiny", engine, ()))
        rows = list(result_rows(context, made.job_id, critiques=True, steps=True))
    if as_json:
        print_json({"job_id": made.job_id, "results": rows})
    else:
        _show(rows, recipe.threshold)


def examples() -> Path:
    """The shipped examples, in a checkout or in an installed package. Raises NotFound."""
    root = Path(str(files("rprm_jobs")))
    for folder in (root / "_examples", root.parent / "examples"):
        if (folder / "solutions.jsonl").is_file():
            return folder / "solutions.jsonl"
    raise NotFound("the package holds no examples", where=str(root), hint="install rprm-jobs again")


def _show(rows: list[dict[str, Any]], threshold: float) -> None:
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    # Names and texts may hold square brackets, which are no markup.
    console = Console(markup=False)
    table = Table("solution", "mean P(Yes) of each step", "first suspicious", "label", box=None, padding=(0, 2))
    for row in rows:
        found, label = row["first_error"], row.get("label")
        color = "yellow" if label is None else "green" if found == label else "red"
        table.add_row(row["id"], _rewards(row, threshold), Text(_step_name(found), style=color), _step_name(label))
    console.print(table)
    shown = next((row for row in rows if isinstance(row["first_error"], int) and row["first_error"] >= 0), None)
    if shown is not None:
        step = shown["first_error"]
        one = next((c for c in shown["critiques"][step] if c["verdict"] == "no"), shown["critiques"][step][0])
        console.print(
            Panel(Text(_problem(shown, step)), title=Text(f"{shown['id']}, step {step + 1}"), title_align="left")
        )
        opinion = one["verdict"] if one["p_yes"] is None else f"P(Yes) = {one['p_yes']:.3f}"
        title = f"one of {len(shown['critiques'][step])} critiques, {opinion}"
        console.print(Panel(Text(one["text"]), title=Text(title), title_align="left"))


def _rewards(row: dict[str, Any], threshold: float) -> Text:
    from rich.text import Text

    text = Text()
    for step, reward in enumerate(row["rewards"] or ()):
        first = step == row["first_error"]
        style = "bold white on red" if first else "dim" if reward is None else "red" if reward < threshold else "green"
        text.append("  -  " if reward is None else f" {reward:.2f} ", style)
    return text


def _step_name(index: int | None) -> str:
    if index is None:
        return "?"
    return "none" if index < 0 else f"step {index + 1}"


def _problem(row: dict[str, Any], step: int) -> str:
    from rprm_jobs.judge.prompt import format_previous, format_step

    before = format_previous(row["steps"][:step])
    return f"{row['problem']}\n\n{before}\n\nNow: {format_step(step, row['steps'][step])}"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)
