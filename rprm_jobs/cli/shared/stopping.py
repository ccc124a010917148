"""The options by which every command that judges names its stopping rule: when a step has enough critiques."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from rprm_jobs.errors import ConfigError


class StoppingKind(StrEnum):
    """The stopping rules that a submission can name."""

    FIXED = "fixed"
    EXACT = "exact"
    ADAPTIVE = "adaptive"
    PLANNED = "planned"


_KINDS = (
    "fixed: always K critiques; exact: no more once the rest cannot change the call; adaptive: likely not;"
    " planned: as an optimal plan from a pilot of the job has it."
)
StoppingOption = Annotated[StoppingKind, typer.Option("--stopping", help=_KINDS)]
OldPolicyOption = Annotated[str | None, typer.Option("--policy", hidden=True)]
ConfidenceOption = Annotated[
    float | None, typer.Option("--confidence", help="Of adaptive: how sure of the call to be, in (0.5, 1) [0.95].")
]
MinKOption = Annotated[
    int | None, typer.Option("--min-k", help="Of adaptive: the least critiques of a step with a verdict [3].")
]

ChangedOption = Annotated[
    float | None, typer.Option("--changed", help="Of planned: the share of calls that may change, in [0, 1) [0.0025].")
]
PriceOption = Annotated[
    float | None,
    typer.Option("--price", help="Of planned, instead of --changed: what a changed call may cost, in critiques."),
]
PilotOption = Annotated[
    int | None, typer.Option("--pilot", help="Of planned: steps that get all K critiques first [500].")
]
UntilOption = Annotated[
    bool,
    typer.Option("--until-first-error", help="Do not judge the steps after the first one called wrong."),
]


_OWN_OPTIONS = {StoppingKind.ADAPTIVE: ("confidence", "min_k"), StoppingKind.PLANNED: ("changed", "price", "pilot")}


def stopping_options(kind: StoppingKind, **given: float | None) -> dict[str, Any]:
    """The options as a recipe takes them. Raises ConfigError for one that the rule does not have."""
    options = {name: value for name, value in given.items() if value is not None}
    for name in options:
        if name not in _OWN_OPTIONS.get(kind, ()):
            owner = next(owner for owner, names in _OWN_OPTIONS.items() if name in names)
            option = f"--{name.replace('_', '-')}"
            raise ConfigError(f"{option}: the {kind} rule has no such option", hint=f"use --stopping {owner}")
    return {"kind": kind.value, **options}


def refuse_old_policy(policy: str | None) -> None:
    """Raises ConfigError with today's spelling of a stopping rule."""
    if policy is not None:
        rule = policy if policy in list(StoppingKind) else "RULE"
        raise ConfigError(
            "--policy names a model that writes solutions; when to stop sampling is --stopping",
            hint=f"use --stopping {rule}",
        )
