"""`stopping simulate`: what each stopping rule would have cost, and changed, on recorded votes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rprm_jobs.cli.shared.command import ANSWERS, add_command, new_group
from rprm_jobs.cli.shared.common import print_json, say
from rprm_jobs.cli.shared.options import JsonOption, ThresholdOption
from rprm_jobs.words import counted

if TYPE_CHECKING:
    from rprm_jobs.services.evaluation.simulate import Line, Simulation

stopping_app = new_group("Compare the rules that stop sampling critiques.")


def simulate(
    votes: Annotated[
        str | None,
        typer.Option(
            "--votes",
            metavar="FILE",
            help="Rows of `rprm-jobs results --critiques`, or rows with votes.",
            show_default="the published votes",
        ),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option(
            "-k",
            "--critiques",
            metavar="K",
            min=1,
            help="Critiques of each step at most.",
            show_default="all that are recorded",
        ),
    ] = None,
    threshold: ThresholdOption = 0.5,
    seed: Annotated[int, typer.Option(help="Seed of the random orders and pilots.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare what stopping rules would have cost on recorded votes.

    The table says how many critiques each rule takes, and how many calls it changes.
    """
    from rprm_jobs.services.evaluation.simulate import simulate_published
    from rprm_jobs.services.evaluation.simulate_recorded import simulate_recorded
    from rprm_jobs.settings import load_settings

    if votes is None:
        simulation = simulate_published(k=k, threshold=threshold, seed=seed)
    else:
        simulation = simulate_recorded(votes, load_settings().limits, k=k, threshold=threshold, seed=seed)
    if simulation.left_out:
        say(f"left out: {counted(simulation.left_out, 'step')} with fewer than {counted(simulation.k, 'critique')}")
    if as_json:
        print_json(simulation.as_json())
    else:
        _show(simulation)


def _show(simulation: Simulation) -> None:
    from rprm_jobs.cli.shared.tables import Table, print_table

    print(f"{counted(simulation.steps, 'step')} of {simulation.k} votes, threshold {simulation.threshold:g}")
    scored = any(line.score is not None for line in simulation.lines)
    columns = ("score", "from all critiques") if scored else ("first errors changed",)
    table = Table(("rule", "fitted to", "critiques", "changed", *columns), left=("fitted to",))
    for line in simulation.lines:
        solutions = line.outcome.changed_solutions
        table.add_row(
            _name(line),
            line.fitted_to or "-",
            f"{line.outcome.critiques:.2f}",
            f"{line.outcome.changed:.2%}",
            *(_score(line) if scored else ["-" if solutions is None else f"{solutions:.2%}"]),
        )
    print_table(table)
    if scored:
        say("score: the mean F1 of right and of wrong steps; beside it the 95% interval of the difference")


def _score(line: Line) -> tuple[str, str]:
    score = line.score
    if score is None:
        return "-", "-"
    return f"{score.score:.2f}", f"{score.low:+.2f} to {score.high:+.2f}"


def _name(line: Line) -> str:
    if "price" in line.rule:
        return f"price {line.rule['price']:g}" + ", by context" * bool(line.rule.get("by_context"))
    bound = line.rule.get("confidence", line.rule.get("changed"))
    return str(line.rule["kind"]) if bound is None else f"{line.rule['kind']} {bound:.4g}"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_command(stopping_app, simulate, "rprm-jobs stopping simulate --votes votes.jsonl")
    app.add_typer(stopping_app, name="stopping", rich_help_panel=ANSWERS)
