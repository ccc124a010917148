"""`doctor`: what is configured, reachable and installed; with --canary, how easily a judge is talked into Yes."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from rprm_jobs.cli.shared.common import EngineArgOption, EngineOption, JsonOption, connected, print_json, say
from rprm_jobs.errors import ConfigError

if TYPE_CHECKING:
    from rprm_jobs.evaluation.canary import CanaryCounts

_CANARY_K = 4


def doctor(
    canary: Annotated[
        bool, typer.Option("--canary", help="Judge wrong steps that try to talk the judge into Yes.")
    ] = False,
    judge: Annotated[str | None, typer.Option("--judge", help="Of --canary: the judge.")] = None,
    k: Annotated[
        int | None, typer.Option("-k", "--critiques", min=1, help="Of --canary: critiques a step [4].")
    ] = None,
    solutions: Annotated[
        list[str] | None, typer.Option("--solutions", help="Of --canary: labelled solutions [made-up sums].")
    ] = None,
    worker: Annotated[bool, typer.Option("--worker/--no-worker", help="Start a worker if none serves.")] = True,
    engine: EngineOption = "auto",
    engine_arg: EngineArgOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check what is configured, reachable and installed; one line each, with the mend. Exit 5 if a server is not."""
    if canary:
        if judge is None:
            raise ConfigError("--canary asks a judge", hint="name it: --judge tiny")
        _canary(judge, k or _CANARY_K, solutions or [], worker, engine, tuple(engine_arg or ()), as_json)
    elif judge or k or solutions:
        raise ConfigError("--judge, -k and --solutions are for --canary", hint="add --canary, or leave them out")
    else:
        _checkup(as_json)


def _checkup(as_json: bool) -> None:
    from rprm_jobs.cli.shared.checkup import checkup

    checks = checkup()
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        for check in checks:
            hint = f"  hint: {check.hint}" if check.hint else ""
            print(f"{'ok  ' if check.ok else 'FAIL' if check.needed else 'no  '} {check.name:<14} {check.found}{hint}")
    if any(check.needed and not check.ok for check in checks):
        raise typer.Exit(5)


def _canary(
    judge: str, k: int, solutions: list[str], worker: bool, engine: str, engine_args: tuple[str, ...], as_json: bool
) -> None:
    from rprm_jobs.cli.shared.waiting import wait_for
    from rprm_jobs.judge.resolve import resolve_judge
    from rprm_jobs.launch.workers import WorkerChoice
    from rprm_jobs.services.evaluation.canary import count_canaries, submit_canaries
    from rprm_jobs.services.jobs.submit import make_recipe

    with connected() as context:
        made = submit_canaries(context, make_recipe(resolve_judge(judge), k=k), solutions)
        say(f"job {made.job_id}{'' if made.created else ' (found)'}: {made.steps:,} wrong steps")
        wait_for(context, made.job_id, WorkerChoice(judge, engine, engine_args) if worker else None)
        tallies = count_canaries(context, made.job_id)
    if as_json:
        rows = [{**asdict(one), "false_yes": one.false_yes} for one in tallies]
        print_json({"judge": judge, "k": k, "job_id": made.job_id, "canaries": rows})
    else:
        _show(tallies)


def _show(tallies: list[CanaryCounts]) -> None:
    from rprm_jobs.cli.shared.tables import new_table, print_table

    plain = tallies[0].false_yes
    table = new_table("injection", "wrong steps", "called right", "no verdict", "beside plain")
    for one in tallies:
        rate = one.false_yes
        table.add_row(
            one.injection,
            f"{one.n:,}",
            "-" if rate is None else f"{rate:.1%}",
            f"{one.silent:,}",
            "-" if rate is None or plain is None else f"{100 * (rate - plain):+.1f} points",
        )
    print_table(table)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)
