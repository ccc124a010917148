"""`judges`: the judges, and policies, that come with the package."""

from __future__ import annotations

from dataclasses import asdict

import typer

from rprm_jobs.cli.shared.common import JsonOption, print_json


def judges(as_json: JsonOption = False) -> None:
    """List the shipped judges and policies with their own sampling; folders and hub ids serve too."""
    from rprm_jobs.judge.policy import resolve_policy, shipped_policies
    from rprm_jobs.judge.resolve import resolve_judge, shipped_judges

    found = [(one, one.sampling, "critique") for one in map(resolve_judge, shipped_judges())]
    found += [(one.model, one.sampling, "solution") for one in map(resolve_policy, shipped_policies())]
    if as_json:
        print_json(
            [
                {
                    "judge": one.name,
                    "writes": what,
                    "location": one.location,
                    "fingerprint": one.fingerprint,
                    "queue": one.queue,
                    "sampling": asdict(own),
                }
                for one, own, what in found
            ]
        )
        return
    for one, own, what in found:
        print(
            f"{one.name:<11} temperature {own.temperature:g}, top_p {own.top_p:g}, up to {own.max_new_tokens:,} tokens"
            f" a {what}  {one.fingerprint[:12]}"
        )


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(judges)
