"""`results`: write the rows of a job, in the order of the input."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rprm_jobs.cli.shared.command import ANSWERS, add_command, excludes
from rprm_jobs.cli.shared.common import print_json, print_json_rows, say
from rprm_jobs.cli.shared.options import JobArgument, JsonOption, OutputOption
from rprm_jobs.cli.shared.places import not_standard_output
from rprm_jobs.errors import JobCancelled, NotFinished
from rprm_jobs.launch.servers import connected
from rprm_jobs.words import counted

if TYPE_CHECKING:
    from rprm_jobs.services.jobs.query import JobStatus


def results(
    job: JobArgument,
    output: OutputOption = "-",
    critiques: Annotated[bool, typer.Option("--critiques", help="Add the critiques; of a search, its tree.")] = False,
    steps: Annotated[bool, typer.Option("--steps", help="Add the problem and the steps.")] = False,
    dataset: Annotated[
        Path | None,
        typer.Option(
            "--dataset",
            metavar="FOLDER",
            help="Save them for datasets.load_from_disk instead.",
            callback=not_standard_output("scored"),
        ),
    ] = None,
    calibrated: Annotated[
        str | None, typer.Option("--calibrated", metavar="NAME", help="Add rewards calibrated by `calibrate fit`.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Write only failed and quarantined solutions.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the results of a job, one row for each solution.

    Solutions that have no outcome yet are left out; then the exit status says that the job is not finished.
    """
    from rprm_jobs.formats import write_all
    from rprm_jobs.formats.saved import save_dataset
    from rprm_jobs.services.evaluation.calibrate import calibrated_rows
    from rprm_jobs.services.jobs.query import job_status
    from rprm_jobs.services.jobs.results import result_rows

    target = output if dataset is None else str(dataset)
    in_json = as_json and target == "-"
    with connected() as context:
        before = job_status(context, job)
        if not before.outcomes.solutions:
            # Before the output is opened: an empty file would look like the results of an empty job.
            _refuse_unfinished(before)
        if calibrated is None:
            all_rows = result_rows(context, job, critiques=critiques, steps=steps)
        else:
            all_rows = calibrated_rows(context, job, calibrated, critiques=critiques, steps=steps)
        rows = _with_bar(all_rows, before.job.n_solutions, target)
        wanted = (row for row in rows if not failed or row["status"] != "ok")
        if in_json:
            written = print_json_rows(
                {"job_id": job, "output": target},
                wanted,
                lambda n: {"rows": n, "missing": _missing(job_status(context, job))},
            )
        else:
            written = write_all(output, wanted) if dataset is None else save_dataset(dataset, wanted)
        now = job_status(context, job)
    if target != "-":
        if as_json:
            print_json({"job_id": job, "output": target, "rows": written, "missing": _missing(now)})
        else:
            say(f"{counted(written, 'row')} in {target}")
    _refuse_unfinished(now)


def _missing(status: JobStatus) -> int:
    return status.job.n_solutions - status.outcomes.solutions


def _refuse_unfinished(status: JobStatus) -> None:
    """Raises NotFinished or JobCancelled when solutions have no outcome."""
    from rprm_jobs.store.records import JobState

    job_id, missing = status.job.id, _missing(status)
    if not missing:
        return
    among = counted(status.job.n_solutions, "solution")
    what = f"job {job_id} is {status.state.value}: {missing:,} of {among} without an outcome"
    if status.state is JobState.CANCELLED:
        raise JobCancelled(what, hint="submit its files again to judge the rest")
    raise NotFinished(f"{what} yet", hint=f"wait for it: rprm-jobs status {job_id} --watch")


def _with_bar(rows: Iterable[dict[str, Any]], total: int, output: str) -> Iterable[dict[str, Any]]:
    """The rows with a progress bar, if stderr is a terminal that the rows are not written to."""
    if not sys.stderr.isatty() or (output == "-" and sys.stdout.isatty()):
        return rows
    from rich.console import Console
    from rich.progress import track

    return track(rows, "writing", total=total, console=Console(stderr=True), transient=True)


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(
        app,
        results,
        "rprm-jobs results 7 -o scored.parquet",
        "rprm-jobs results 7 --failed",
        group=ANSWERS,
        rules=(excludes("dataset", "output"),),
    )
