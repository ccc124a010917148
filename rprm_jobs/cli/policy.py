"""`policy simulate`, and the options by which every command that judges names its sampling policy."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rprm_jobs.cli.common import JsonOption, print_json, say
from rprm_jobs.errors import ConfigError

if TYPE_CHECKING:
    from rprm_jobs.services.simulate import Line, Simulation

policy_app = typer.Typer(no_args_is_help=True, help="Sampling policies: critiques a step.", rich_markup_mode=None)


class PolicyKind(StrEnum):
    """The policies that a submission can name."""

    FIXED = "fixed"
    EXACT = "exact"
    ADAPTIVE = "adaptive"
    PLANNED = "planned"


_KINDS = (
    "fixed: always K critiques; exact: no more once the rest cannot change the call; adaptive: likely not;"
    " planned: as an optimal plan from a pilot of the job has it."
)
PolicyOption = Annotated[PolicyKind, typer.Option("--policy", help=_KINDS)]
# Where --policy names a model.
JudgePolicyOption = Annotated[PolicyKind, typer.Option("--judge-policy", help=_KINDS)]
ConfidenceOption = Annotated[
    float | None, typer.Option("--confidence", help="Of adaptive: how sure of the call to be, in (0.5, 1) [0.95].")
]
MinKOption = Annotated[
    int | None, typer.Option("--min-k", help="Of adaptive: the least critiques of a step with a verdict [3].")
]

ChangedOption = Annotated[
    float | None, typer.Option("--changed", help="Of planned: the share of calls that may change, in [0, 1) [0.0025].")
]
PilotOption = Annotated[
    int | None, typer.Option("--pilot", help="Of planned: steps that get all K critiques first [500].")
]
UntilOption = Annotated[
    bool,
    typer.Option("--until-first-error", help="Do not judge the steps after the first one called wrong."),
]


_OWN_OPTIONS = {PolicyKind.ADAPTIVE: ("confidence", "min_k"), PolicyKind.PLANNED: ("changed", "pilot")}


def policy_options(kind: PolicyKind, *, named: str = "--policy", **given: float | None) -> dict[str, Any]:
    """The options as a recipe takes them. Raises ConfigError for one that the policy does not have.

    `named` is the option by which the command takes the policy.
    """
    options = {name: value for name, value in given.items() if value is not None}
    for name in options:
        if name not in _OWN_OPTIONS.get(kind, ()):
            owner = next(owner for owner, names in _OWN_OPTIONS.items() if name in names)
            option = f"--{name.replace('_', '-')}"
            raise ConfigError(f"{option}: the {kind} policy has no such option", mend=f"use {named} {owner}")
    return {"kind": kind.value, **options}


@policy_app.command()
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
    """Tell what each policy would have cost on votes that are there, and how many calls it would have changed."""
    from rprm_jobs.services.simulate import simulate_published, simulate_recorded
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
    from rprm_jobs.cli.tables import new_table, print_table

    print(f"{found.steps:,} steps of {found.k} votes, threshold {found.threshold:g}")
    table = new_table("policy", "fitted to", "critiques", "calls changed", "solutions changed", left=("fitted to",))
    for line in found.lines:
        solutions = line.outcome.changed_solutions
        table.add_row(
            _name(line),
            line.fitted_to or "-",
            f"{line.outcome.critiques:.2f}",
            f"{line.outcome.changed:.2%}",
            "-" if solutions is None else f"{solutions:.2%}",
        )
    print_table(table)


def _name(line: Line) -> str:
    share = line.policy.get("confidence", line.policy.get("changed"))
    return str(line.policy["kind"]) if share is None else f"{line.policy['kind']} {share:.4g}"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(policy_app, name="policy")
