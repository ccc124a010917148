"""`pairs`: named sets of preference pairs, built from judged jobs with labels."""

from __future__ import annotations

from typing import Annotated

import typer

from rprm_jobs.cli.shared import sets
from rprm_jobs.cli.shared.common import JsonOption
from rprm_jobs.errors import ConfigError

pairs_app = typer.Typer(no_args_is_help=True, help="Preference pairs for DPO.", rich_markup_mode=None)


@pairs_app.command()
def build(
    jobs: sets.JobsArgument,
    name: sets.NameOption,
    rule: Annotated[
        str, typer.Option("--rule", help="distinct: no critique twice; paper: R-PRM's filter; all: the full product.")
    ] = "distinct",
    max_pairs: Annotated[int | None, typer.Option("--max-pairs", help="Of distinct: pairs a step at most [2].")] = None,
    max_length_difference: Annotated[
        float | None, typer.Option("--max-length-difference", help="Of distinct: as a share of the longer text [0.5].")
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
    """Build a set of pairs: critiques that agree with the label against critiques that do not."""
    from rprm_jobs.pairs.rules import PairRule, pair_rules

    if rule not in list(PairRule):
        raise ConfigError(f"--rule {rule}: there is no such rule", hint=f"say one of {', '.join(PairRule)}")
    bounds = {"max_pairs": max_pairs, "max_length_difference": max_length_difference}
    common = sets.common_rules(neutral, balance, validation, seed)
    rules = pair_rules(PairRule(rule), bounds=bounds, **common)
    sets.build_set(jobs, name, rules, prompt, unfinished=unfinished, replace=replace, dry_run=dry_run, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    from rprm_jobs.pairs.rules import SetKind

    sets.add_common(pairs_app, SetKind.PAIRS)
    app.add_typer(pairs_app, name="pairs")
