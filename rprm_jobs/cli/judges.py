"""`judges`: the judges that come with the package."""

from __future__ import annotations

from dataclasses import asdict

import typer

from rprm_jobs.cli.common import JsonOption, print_json


def judges(as_json: JsonOption = False) -> None:
    """List the shipped judges with their own sampling; folders and hub ids are judges too."""
    from rprm_jobs.judge.resolve import resolve_judge, shipped_judges

    found = [resolve_judge(name) for name in shipped_judges()]
    if as_json:
        print_json(
            [
                {
                    "judge": one.name,
                    "location": one.location,
                    "fingerprint": one.fingerprint,
                    "queue": one.queue,
                    "sampling": asdict(one.sampling),
                }
                for one in found
            ]
        )
        return
    for one in found:
        own = one.sampling
        print(
            f"{one.name:<10} temperature {own.temperature:g}, top_p {own.top_p:g}, up to {own.max_new_tokens:,} tokens"
            f" a critique  {one.fingerprint[:12]}"
        )


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(judges)
