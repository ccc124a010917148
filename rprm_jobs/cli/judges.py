"""`judges`: the judges, and policies, that come with the package."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from rprm_jobs.cli.shared.command import SERVERS, add_command
from rprm_jobs.cli.shared.common import print_json
from rprm_jobs.cli.shared.options import JsonOption

if TYPE_CHECKING:
    from rprm_jobs.judge.resolve import Judge
    from rprm_jobs.types import Sampling


def judges(
    families: Annotated[bool, typer.Option("--families", help="List the families of judges instead.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the shipped judges and policies.

    A model folder or a hub id can be named wherever one of these can.
    """
    if families:
        _families(as_json)
        return
    from rprm_jobs.judge.policy import resolve_policy, shipped_policies
    from rprm_jobs.judge.resolve import resolve_judge, shipped_judges

    models: list[tuple[Judge, Sampling, str | None]] = [
        (judge, judge.sampling, "critique" if judge.family.writes else None)
        for judge in map(resolve_judge, shipped_judges())
    ]
    models += [(policy.model, policy.sampling, "solution") for policy in map(resolve_policy, shipped_policies())]
    if as_json:
        print_json(
            [
                {
                    "judge": model.name,
                    "writes": writes,
                    "location": model.location,
                    "fingerprint": model.fingerprint,
                    "queue": model.queue,
                    "sampling": asdict(sampling) if writes else None,
                }
                for model, sampling, writes in models
            ]
        )
        return
    for model, sampling, writes in models:
        how = "one pass a solution, a score for each step"
        if writes:
            how = f"temperature {sampling.temperature:g}, top_p {sampling.top_p:g}"
            how += f", up to {sampling.max_new_tokens:,} tokens a {writes}"
        print(f"{model.name:<11} {how}, weights {model.fingerprint[:12]}")


def _families(as_json: bool) -> None:
    from rprm_jobs.judge.families.table import ROWS, stored

    if as_json:
        rows = [(row.family, row.about) for row in ROWS]
        print_json([{"family": family.name, "about": about, "fields": stored(family)} for family, about in rows])
        return
    for row in ROWS:
        family = row.family
        print(f"{family.name:<15} by {family.unit.value}, threshold {family.threshold:g}: {row.about}")


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, judges, "rprm-jobs judges", "rprm-jobs judges --families", group=SERVERS)
