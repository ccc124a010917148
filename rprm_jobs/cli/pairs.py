"""`pairs`: named sets of preference pairs, built from judged jobs with labels."""

from __future__ import annotations

from typing import Annotated

import typer

from rprm_jobs.cli.shared import sets
from rprm_jobs.cli.shared.command import TRAINING, Rule, add_command, new_group
from rprm_jobs.cli.shared.options import JsonOption
from rprm_jobs.cli.shared.sets import ROWS
from rprm_jobs.errors import ConfigError

pairs_app = new_group("Build sets of preference pairs, for DPO.")


def build(
    jobs: sets.JobsArgument,
    name: sets.NameOption,
    rule: Annotated[
        str,
        typer.Option(
            "--rule", help="distinct: no critique in two pairs. paper: R-PRM's filter. all: the full product."
        ),
    ] = "distinct",
    max_pairs: Annotated[
        int | None,
        typer.Option(
            "--max-pairs",
            metavar="N",
            help="distinct: pairs of a step at most.",
            show_default="2",
            rich_help_panel=ROWS,
        ),
    ] = None,
    max_length_difference: Annotated[
        float | None,
        typer.Option(
            "--max-length-difference",
            help="distinct: largest difference in length, as a share of the longer.",
            show_default="0.5",
            rich_help_panel=ROWS,
        ),
    ] = None,
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
    """Build a set of preference pairs from labelled, judged jobs.

    A pair is a critique that agrees with the label and one that does not.
    """
    from rprm_jobs.pairs.rules import PairRule, pair_rules

    if rule not in list(PairRule):
        raise ConfigError(f"there is no rule {rule!r}", hint=f"say --rule {' or --rule '.join(PairRule)}")
    bounds = {"max_pairs": max_pairs, "max_length_difference": max_length_difference}
    common = sets.common_rules(neutral, balance, validation, seed)
    rules = pair_rules(PairRule(rule), bounds=bounds, **common)
    sets.build_set(jobs, name, rules, prompt, unfinished=unfinished, replace=replace, dry_run=dry_run, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    from rprm_jobs.pairs.rules import SetKind

    distinct = Rule(
        ("max_pairs", "max_length_difference"),
        lambda values: values["rule"] == "distinct",
        "without --rule distinct",
        "add --rule distinct, or leave out {option}",
    )
    add_command(pairs_app, build, "rprm-jobs pairs build 7 --name first --dry-run", rules=(distinct,))
    sets.add_common(pairs_app, SetKind.PAIRS)
    app.add_typer(pairs_app, name="pairs", rich_help_panel=TRAINING)
