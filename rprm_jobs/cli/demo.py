"""`demo`: judge the shipped examples with the shipped judge, and show its rewards and one critique."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rprm_jobs.cli.shared.command import JOBS, add_command, excludes
from rprm_jobs.cli.shared.common import print_json, say
from rprm_jobs.cli.shared.options import CritiquesOption, EngineOption, JsonOption
from rprm_jobs.cli.shared.tables import cell_width, reward_glyph, terminal_width
from rprm_jobs.errors import NotFound
from rprm_jobs.launch.servers import connected
from rprm_jobs.words import counted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


_GAP = "  "
# Columns of `step 1000` and `first wrong`, of one number and its space, and of `+1000` after a cut list.
_STEP_WIDTH, _NUMBER_WIDTH, _CUT_WIDTH = 11, 5, 6


def demo(
    k: CritiquesOption = 4,
    engine: EngineOption = "auto",
    numbers: Annotated[
        bool, typer.Option("--numbers", help="Show rewards as numbers even if they must be cut to fit.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Judge the shipped examples and show what the judge says."""
    from rprm_jobs.cli.shared.waiting import wait_until_done
    from rprm_jobs.formats import ReadOptions
    from rprm_jobs.judge.resolve import resolve_judge
    from rprm_jobs.launch.spare import spare_worker
    from rprm_jobs.launch.workers import WorkerChoice
    from rprm_jobs.services.jobs.results import result_rows
    from rprm_jobs.services.jobs.submit import SubmitRequest, make_recipe, submit

    recipe = make_recipe(resolve_judge("tiny"), k=k)
    with spare_worker(True) as spare, connected() as context:
        submission = submit(context, SubmitRequest((str(examples()),), recipe, ReadOptions()))
        size = f"{counted(submission.solutions, 'solution')}, {counted(submission.steps, 'step')}"
        say(f"job {submission.job_id}: {size}, {counted(k, 'critique')} a step")
        wait_until_done(context, submission.job_id, WorkerChoice("tiny", engine, (), spare=spare))
        rows = list(result_rows(context, submission.job_id, critiques=True, steps=True))
    if as_json:
        print_json({"job_id": submission.job_id, "results": rows})
    else:
        _show(rows, recipe.threshold, numbers=numbers)
        say("to see it in a browser: rprm-jobs serve")


def examples() -> Path:
    """The file of shipped examples, in a checkout or in an installed package. Raises NotFound."""
    root = Path(str(files("rprm_jobs")))
    for folder in (root / "_examples", root.parent / "examples"):
        if (folder / "solutions.jsonl").is_file():
            return folder / "solutions.jsonl"
    raise NotFound("the package holds no examples", where=str(root), hint="pip install --force-reinstall rprm-jobs")


def _show(rows: list[dict[str, Any]], threshold: float, *, numbers: bool = False) -> None:
    from rich.console import Console

    # Names and texts may hold square brackets, which are not markup.
    console = Console(markup=False, highlight=False)
    _show_rewards(console, rows, threshold, numbers=numbers)
    shown = next((row for row in rows if isinstance(row["first_error"], int) and row["first_error"] >= 0), None)
    if shown is not None:
        _show_critique(console, shown)


def _show_rewards(console: Console, rows: list[dict[str, Any]], threshold: float, *, numbers: bool) -> None:
    """One line for each solution. Rewards that do not fit beside its name are drawn as bars, or cut with `numbers`."""
    from rich.text import Text

    width, longest = terminal_width(), max(len(row["rewards"] or ()) for row in rows)
    names = max(cell_width(text) for text in ("solution", *(row["id"] for row in rows)))
    room = None if width is None else width - names - len(_GAP) * 3 - _STEP_WIDTH * 2
    drawn = room is not None and not numbers and longest * _NUMBER_WIDTH > room
    most = None if room is None else max(room - _CUT_WIDTH, 1) // (1 if drawn else _NUMBER_WIDTH)
    title = "reward of each step" if drawn else "mean P(Yes) of each step"
    strips = [_rewards(row, threshold, most, drawn=drawn) for row in rows]
    column = max(len(title), *(strip.cell_len for strip in strips))
    head = _GAP.join(["solution".ljust(names), title.ljust(column), "first wrong".ljust(_STEP_WIDTH), "label"])
    console.print(Text(head, style="bold"), soft_wrap=True)
    for row, strip in zip(rows, strips, strict=True):
        first, label = row["first_error"], row.get("label")
        strip.pad_right(column - strip.cell_len)
        color = "yellow" if label is None else "green" if first == label else "red"
        name = row["id"] + " " * (names - cell_width(row["id"]))
        verdict = (_step_name(first).ljust(_STEP_WIDTH), color)
        console.print(Text.assemble(name, _GAP, strip, _GAP, verdict, _GAP, _step_name(label)), soft_wrap=True)


def _rewards(row: dict[str, Any], threshold: float, most: int | None, *, drawn: bool) -> Text:
    """The rewards of a solution, at most `most` of them and then how many more there are."""
    from rich.text import Text

    text, rewards = Text(), row["rewards"] or ()
    shown = len(rewards) if most is None or len(rewards) <= most else most
    for step, reward in enumerate(rewards[:shown]):
        first = step == row["first_error"]
        style = "bold white on red" if first else "dim" if reward is None else "red" if reward < threshold else "green"
        number = " -  " if reward is None else f"{reward:.2f}"
        text.append(reward_glyph(reward) if drawn else number, style)
        text.append("" if drawn else " ")
    if shown < len(rewards):
        text.append(f" +{len(rewards) - shown}")
    text.rstrip()
    return text


def _show_critique(console: Console, row: dict[str, Any]) -> None:
    """The first step that was called wrong, and a critique that says so."""
    from rich.panel import Panel
    from rich.text import Text

    step = row["first_error"]
    critiques = row["critiques"][step]
    critique = next((candidate for candidate in critiques if candidate["verdict"] == "no"), critiques[0])
    title = Text(f"{row['id']}, step {step + 1}")
    console.print(Panel(Text(_problem(row, step)), title=title, title_align="left"))
    opinion = critique["verdict"] if critique["p_yes"] is None else f"P(Yes) = {critique['p_yes']:.3f}"
    title = Text(f"one of {counted(len(critiques), 'critique')}, {opinion}")
    console.print(Panel(Text(critique["text"]), title=title, title_align="left"))


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
    add_command(app, demo, "rprm-jobs demo", group=JOBS, rules=(excludes("as_json", "numbers"),))
