"""`calibrate`: learn P(the step is correct) from labelled jobs, and see and delete what was learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rprm_jobs.cli.shared.command import ANSWERS, add_command, new_group
from rprm_jobs.cli.shared.common import print_json, say
from rprm_jobs.cli.shared.options import JsonOption
from rprm_jobs.launch.servers import connected

if TYPE_CHECKING:
    from rprm_jobs.store.calibrations import StoredCalibration

calibrate_app = new_group("Learn how likely a step is correct, from labelled jobs.")
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The calibration.")]


def fit(
    jobs: Annotated[list[int] | None, typer.Argument(metavar="JOB", help="Finished jobs with labels.")] = None,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Its name.")] = "",
    votes: Annotated[
        list[str] | None,
        typer.Option(
            "--votes", metavar="FILE", help="Rows of recorded votes with labels, as `stopping simulate` takes."
        ),
    ] = None,
    position: Annotated[
        bool, typer.Option("--position", help="Use the place of a step too; benchmarks put errors at certain places.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Learn P(correct) of a step from its solution's votes.

    Rewards never change: `results --calibrated NAME` adds a column beside them.
    """
    from rprm_jobs.errors import ConfigError
    from rprm_jobs.services.evaluation.calibrate import fit_calibration

    if not name:
        raise ConfigError("the calibration has no name", hint="add --name NAME")
    with connected() as context:
        stored = fit_calibration(context, name, jobs or (), votes or (), position=position)
    if as_json:
        print_json(_json(stored))
        return
    say(
        f"learned from {stored.calibrator.steps:,} labelled steps; best threshold there {stored.calibrator.threshold:g}"
    )
    print(stored.name)


def list_(as_json: JsonOption = False) -> None:
    """List the calibrations."""
    from rprm_jobs.cli.shared.tables import Table, print_table
    from rprm_jobs.store import calibrations

    with connected() as context, context.database.transaction() as connection:
        stored = calibrations.list_all(connection)
    if as_json:
        print_json([_json(calibration) for calibration in stored])
        return
    table = Table(("name", "steps", "threshold", "made", "from"), left=("name", "made"), below=("from",))
    for calibration in stored:
        table.add_row(
            calibration.name,
            f"{calibration.calibrator.steps:,}",
            f"{calibration.calibrator.threshold:g}",
            f"{calibration.made_at:%Y-%m-%d %H:%MZ}",
            ", ".join(calibration.sources),
        )
    print_table(table)


def delete(name: NameArgument, as_json: JsonOption = False) -> None:
    """Delete a calibration."""
    from rprm_jobs.store import calibrations

    with connected() as context, context.database.transaction() as connection:
        calibrations.delete(connection, name)
    if as_json:
        print_json({"name": name, "deleted": True})
    else:
        say(f"calibration {name} is deleted")


def _json(stored: StoredCalibration) -> dict[str, Any]:
    calibrator = stored.calibrator
    return {
        "name": stored.name,
        "steps": calibrator.steps,
        "threshold": calibrator.threshold,
        "position": calibrator.position,
        "sources": list(stored.sources),
        "made_at": stored.made_at.isoformat(),
    }


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_command(calibrate_app, fit, "rprm-jobs calibrate fit 7 8 --name prm800k")
    add_command(calibrate_app, list_, "rprm-jobs calibrate list", name="list")
    add_command(calibrate_app, delete, "rprm-jobs calibrate delete prm800k")
    app.add_typer(calibrate_app, name="calibrate", rich_help_panel=ANSWERS)
