"""`stopping simulate`: what each stopping rule costs, and what it changes, on votes that are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rprm_jobs.cli.shared.common import JsonOption, print_json, say

if TYPE_CHECKING:
    from rprm_jobs.services.evaluation.simulate import Line, Simulation

stopping_app = typer.Typer(no_args_is_help=True, help="When to stop sampling critiques.", rich_markup_mode=None)


@stopping_app.command()
def simulate(
    votes: Annotated[
        str | None,
        typer.Option("--votes", help="Rows of results --critiques, or with votes [the published histogram]."),
    ] = None,
    k: Annotated[int | None, typer.Option("-k", "--critiques", min=1, help="At most [as many as there are].")] = None,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="A step with a lower mean is called wrong.")] = 0.5,
    seed: Annotated[int, typer.Option(help="Of the random orders and pilots.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Tell what each stopping rule costs on votes that are there, and how many calls it changes."""
    from rprm_jobs.services.evaluation.simulate import simulate_published
    from rprm_jobs.services.evaluation.simulate_recorded import simulate_recorded
    from rprm_jobs.settings import load_settings

    if votes is None:
        found = simulate_published(k=k, threshold=threshold, seed=seed)
    else:
        found = simulate_recorded(votes, load_settings().limits, k=k, threshold=threshold, seed=seed)
    if found.left_out:
        say(f"{found.left_out:,} steps with fewer than {found.k} critiques are left out")
    if as_json:
        print_json(found.as_json())
    else:
        _show(found)


def _show(found: Simulation) -> None:
    from rprm_jobs.cli.shared.tables import new_table, print_table

    print(f"{found.steps:,} steps of {found.k} votes, threshold {found.threshold:g}")
    scored = any(line.score is not None for line in found.lines)
    columns = ("score", "from all critiques") if scored else ("first errors changed",)
    table = new_table("rule", "fitted to", "critiques", "changed", *columns, left=("fitted to",))
    for line in found.lines:
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
        return f"price {line.rule['price']:g}"
    bound = line.rule.get("confidence", line.rule.get("changed"))
    return str(line.rule["kind"]) if bound is None else f"{line.rule['kind']} {bound:.4g}"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(stopping_app, name="stopping")
