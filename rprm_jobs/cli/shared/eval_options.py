"""The options of `eval` that no other command has."""

from __future__ import annotations

from typing import Annotated

import typer

from rprm_jobs.cli.shared.command import Rule

JudgesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--judge",
        metavar="JUDGE",
        help="A shipped judge, a model folder, or a hub id; several are compared.",
        show_default="tiny",
    ),
]
# What is said of one judge holds for all of them, except what decides how its answers are read.
ONE_JUDGE_RULE = Rule(
    ("family", "threshold", "allow_incomplete", "calibrated"),
    lambda values: len(values["judge"] or ()) < 2,
    "with several judges",
    "name one judge, or leave out {option}",
)
PredictionsOption = Annotated[
    str | None,
    typer.Option("--predictions", metavar="FILE", help="Take recorded answers of any system; nothing is judged."),
]
CalibratedOption = Annotated[
    str | None,
    typer.Option(
        "--calibrated", metavar="NAME", rich_help_panel="Calibrated rewards",
        help="Score rewards calibrated by `calibrate fit` too, and show how reliable both are.",
    ),
]  # fmt: skip
