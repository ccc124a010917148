"""`sft`: named sets of critiques to imitate, for the cold start."""

from __future__ import annotations

from typing import Annotated

import typer

from rprm_jobs.cli.shared import sets
from rprm_jobs.cli.shared.command import TRAINING, add_command, new_group
from rprm_jobs.cli.shared.options import JsonOption
from rprm_jobs.errors import ConfigError

sft_app = new_group("Build sets of critiques to imitate, for SFT.")


def build(
    jobs: sets.JobsArgument,
    name: sets.NameOption,
    per_step: Annotated[
        str,
        typer.Option(
            "--per-step",
            help="Which agreeing critiques of a step: all, or the last (as R-PRM's code).",
            rich_help_panel=sets.ROWS,
        ),
    ] = "all",
    neutral: sets.NeutralOption = "correct",
    balance: sets.BalanceOption = True,
    validation: sets.ValidationOption = 0.05,
    seed: sets.SetSeedOption = 42,
    prompt: sets.ShownPromptOption = None,
    unfinished: sets.UnfinishedOption = False,
    replace: sets.ReplaceOption = False,
    dry_run: sets.DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Build a set of critiques to imitate from judged jobs.

    They are those of labelled steps that agree with the label and end in their verdict.
    """
    from rprm_jobs.pairs.rules import PerStep, SftRules

    if per_step not in list(PerStep):
        raise ConfigError(
            f"there is no choice --per-step {per_step}", hint=f"say --per-step {' or --per-step '.join(PerStep)}"
        )
    rules = SftRules(per_step=PerStep(per_step), **sets.common_rules(neutral, balance, validation, seed))
    sets.build_set(jobs, name, rules, prompt, unfinished=unfinished, replace=replace, dry_run=dry_run, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    from rprm_jobs.pairs.rules import SetKind

    add_command(sft_app, build, "rprm-jobs sft build 7 --name cold-start")
    sets.add_common(sft_app, SetKind.SFT)
    app.add_typer(sft_app, name="sft", rich_help_panel=TRAINING)
