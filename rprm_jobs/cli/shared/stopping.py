"""The options by which every command that judges names its stopping rule: when a step has enough critiques."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from rprm_jobs.cli.shared.command import Rule, excludes, needs
from rprm_jobs.errors import ConfigError
from rprm_jobs.words import counted


class StoppingKind(StrEnum):
    """The stopping rules that a submission can name."""

    FIXED = "fixed"
    EXACT = "exact"
    ADAPTIVE = "adaptive"
    PLANNED = "planned"


HEADING = "When to stop sampling critiques of a step"
SCREENING = "A cheaper judge first"
_KINDS = (
    "fixed: after K critiques. exact: when the rest cannot change the call. adaptive: when the rest is unlikely to"
    " change it. planned: by an optimal plan, fitted to the job's first steps."
)
StoppingOption = Annotated[StoppingKind, typer.Option("--stopping", help=_KINDS, rich_help_panel=HEADING)]
OldPolicyOption = Annotated[str | None, typer.Option("--policy", hidden=True)]
ConfidenceOption = Annotated[
    float | None,
    typer.Option(
        "--confidence", help="adaptive, and with --screen: how sure to be of the call, above 0.5.", show_default="0.95",
        rich_help_panel=HEADING,
    ),
]  # fmt: skip
MinKOption = Annotated[
    int | None,
    typer.Option(
        "--min-k", metavar="N", help="adaptive: least number of critiques with a verdict.", show_default="3",
        rich_help_panel=HEADING,
    ),
]  # fmt: skip
ChangedOption = Annotated[
    float | None,
    typer.Option(
        "--changed", help="planned: largest share of calls that may change, in [0, 1).", show_default="0.0025",
        rich_help_panel=HEADING,
    ),
]  # fmt: skip
PriceOption = Annotated[
    float | None,
    typer.Option(
        "--price", metavar="CRITIQUES", rich_help_panel=HEADING,
        help="planned, instead of --changed: what a changed call may cost, in critiques.",
    ),
]  # fmt: skip
ByContextOption = Annotated[
    bool,
    typer.Option(
        "--by-context", rich_help_panel=HEADING,
        help="planned, with --price: tell steps apart by the rewards before them, and judge them one after the other.",
    ),
]  # fmt: skip
PilotOption = Annotated[
    int | None,
    typer.Option(
        "--pilot", metavar="N", help="planned: number of first steps that get all K critiques.", show_default="500",
        rich_help_panel=HEADING,
    ),
]  # fmt: skip
WeightOption = Annotated[
    float | None,
    typer.Option(
        "--weight", metavar="CRITIQUES", help="With --screen: as how many critiques its score counts.",
        show_default="2.2", rich_help_panel=SCREENING,
    ),
]  # fmt: skip
ScreenOption = Annotated[
    str | None,
    typer.Option(
        "--screen", metavar="JUDGE", rich_help_panel=SCREENING,
        help="Have a cheaper judge score every step first, so that critiques go where it is unsure.",
    ),
]  # fmt: skip
ScreenFamilyOption = Annotated[
    str | None,
    typer.Option(
        "--screen-family", metavar="NAME", help="The screen's family, as for --family.", show_default="recognised",
        rich_help_panel=SCREENING,
    ),
]  # fmt: skip
UntilOption = Annotated[
    bool,
    typer.Option(
        "--until-first-error", help="Do not judge the steps after the first one called wrong.", rich_help_panel=HEADING
    ),
]

STOPPING_OPTIONS_OF_STEPS = ("stopping", "min_k", "changed", "price", "by_context", "pilot")
STOPPING_OPTIONS = ("stopping", "confidence", *STOPPING_OPTIONS_OF_STEPS[1:])


def _only_with(kind: StoppingKind, *options: str) -> Rule:
    return Rule(
        options,
        lambda values: values["stopping"] == kind,
        f"without --stopping {kind}",
        f"add --stopping {kind}, or leave out {{option}}",
    )


STOPPING_RULES = (
    Rule(
        ("confidence",),
        lambda values: values["stopping"] == StoppingKind.ADAPTIVE or bool(values.get("screen")),
        f"without --stopping {StoppingKind.ADAPTIVE}",
        f"add --stopping {StoppingKind.ADAPTIVE}, or leave out {{option}}",
    ),
    _only_with(StoppingKind.ADAPTIVE, "min_k"),
    _only_with(StoppingKind.PLANNED, "changed", "price", "by_context", "pilot"),
)


SCREEN_RULES = (needs("screen", "weight", "screen_family"), excludes("screen", *STOPPING_OPTIONS_OF_STEPS))


def rule_options(
    kind: StoppingKind, *, k: int, screen: str | None, weight: float | None, confidence: float | None, **values: Any
) -> dict[str, Any]:
    """The rule as a recipe takes it: of a judge that a `screen` goes before, else as `stopping_options`."""
    if screen is None:
        return stopping_options(kind, k=k, confidence=confidence, **values)
    options = {"confidence": confidence, "weight": weight}
    return {"kind": "cascade", **{name: value for name, value in options.items() if value is not None}}


def stopping_options(kind: StoppingKind, *, k: int, by_context: bool = False, **values: float | None) -> dict[str, Any]:
    """The options as a recipe takes them. Raises ConfigError when --min-k leaves no critique to save."""
    options: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
    if by_context:
        options["by_context"] = True
    if 1 <= k < (options.get("min_k") or 0):
        raise ConfigError(
            f"--min-k {options['min_k']} has no effect: a step gets at most {counted(k, 'critique')}",
            hint=f"say --min-k {k} or less, or raise -k",
        )
    return {"kind": kind.value, **options}


def refuse_old_policy(policy: str | None) -> None:
    """Raises ConfigError with today's spelling of a stopping rule."""
    if policy is not None:
        rule = policy if policy in list(StoppingKind) else "RULE"
        raise ConfigError(
            "--policy names a model that writes solutions; when to stop sampling is --stopping",
            hint=f"use --stopping {rule}",
        )
