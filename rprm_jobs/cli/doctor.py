"""`doctor`: check what is configured, reachable and installed; with --canary, try to talk a judge into Yes."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from rprm_jobs.cli.shared.command import SERVERS, add_command, excludes, needs
from rprm_jobs.cli.shared.common import print_json, say
from rprm_jobs.cli.shared.options import EngineArgOption, EngineOption, JsonOption, OwnWorkerOption
from rprm_jobs.cli.shared.submitting import NO_WORKER_RULE
from rprm_jobs.errors import ConfigError
from rprm_jobs.launch.servers import connected
from rprm_jobs.words import counted

if TYPE_CHECKING:
    from rprm_jobs.evaluation.canary import CanaryCounts

CANARY = "With --canary"
_CANARY_K = 4


def doctor(
    canary: Annotated[
        bool, typer.Option("--canary", help="Judge wrong steps whose text asks the judge for a Yes.")
    ] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Start servers, upgrade the schema and remove old logs, as far as needed.")
    ] = False,
    judge: Annotated[
        str | None,
        typer.Option("--judge", metavar="JUDGE", help="The judge to test.", rich_help_panel=CANARY),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option(
            "-k",
            "--critiques",
            metavar="K",
            min=1,
            help="Critiques of each step.",
            show_default="4",
            rich_help_panel=CANARY,
        ),
    ] = None,
    solutions: Annotated[
        list[str] | None,
        typer.Option(
            "--solutions",
            metavar="FILE",
            help="Labelled solutions to take wrong steps from.",
            show_default="made-up sums",
            rich_help_panel=CANARY,
        ),
    ] = None,
    worker: OwnWorkerOption = True,
    engine: EngineOption = "auto",
    engine_arg: EngineArgOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check what is configured, reachable and installed.

    One line for each check, with a hint where something is wrong. Exit status 5 if a server cannot be reached.
    """
    if canary:
        if judge is None:
            raise ConfigError("--canary needs a judge to test", hint="rprm-jobs doctor --canary --judge tiny")
        _canary(judge, k or _CANARY_K, solutions or [], worker, engine, tuple(engine_arg or ()), as_json)
    else:
        _checkup(as_json, fix=fix)


def _checkup(as_json: bool, *, fix: bool) -> None:
    from rprm_jobs.cli.shared.checkup import checkup
    from rprm_jobs.cli.shared.fixes import fixed

    if fix:
        for done in fixed():
            say(done)
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
    from rprm_jobs.cli.shared.waiting import wait_until_done
    from rprm_jobs.judge.resolve import resolve_judge
    from rprm_jobs.launch.spare import spare_worker
    from rprm_jobs.launch.workers import WorkerChoice
    from rprm_jobs.services.evaluation.canary import count_canaries, submit_canaries
    from rprm_jobs.services.jobs.submit import make_recipe

    with spare_worker(worker) as spare, connected() as context:
        submission = submit_canaries(context, make_recipe(resolve_judge(judge), k=k), solutions)
        known = "" if submission.created else " (found)"
        say(f"job {submission.job_id}{known}: {counted(submission.steps, 'wrong step')}")
        choice = WorkerChoice(judge, engine, engine_args, spare=spare) if worker else None
        wait_until_done(context, submission.job_id, choice)
        tallies = count_canaries(context, submission.job_id)
    if as_json:
        rows = [{**asdict(tally), "false_yes": tally.false_yes} for tally in tallies]
        print_json({"judge": judge, "k": k, "job_id": submission.job_id, "canaries": rows})
    else:
        _show(tallies)


def _show(tallies: list[CanaryCounts]) -> None:
    from rprm_jobs.cli.shared.tables import Table, print_table

    plain = tallies[0].false_yes
    table = Table(("injection", "wrong steps", "called right", "no verdict", "against plain"))
    for tally in tallies:
        rate = tally.false_yes
        table.add_row(
            tally.injection,
            f"{tally.n:,}",
            "-" if rate is None else f"{rate:.1%}",
            f"{tally.silent:,}",
            "-" if rate is None or plain is None else f"{100 * (rate - plain):+.1f} points",
        )
    print_table(table)


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(
        app,
        doctor,
        "rprm-jobs doctor",
        "rprm-jobs doctor --fix",
        "rprm-jobs doctor --canary --judge tiny",
        group=SERVERS,
        rules=(
            excludes("canary", "fix"),
            needs("canary", "judge", "k", "solutions", "worker", "engine", "engine_arg"),
            NO_WORKER_RULE,
        ),
    )
