"""`workers` and `logs`: who serves, what each does, and what their logs say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rprm_jobs.cli.shared.command import SERVERS, Rule, add_command
from rprm_jobs.cli.shared.common import human_bytes, print_json, say
from rprm_jobs.cli.shared.complete import complete_job_or_worker
from rprm_jobs.cli.shared.options import JsonOption
from rprm_jobs.errors import NotFound
from rprm_jobs.launch.servers import connected

if TYPE_CHECKING:
    from pathlib import Path

    from rprm_jobs.services.jobs.query import BusyWorker

LINES = 100


def workers(as_json: JsonOption = False) -> None:
    """List the workers that are alive, and what each does."""
    from rprm_jobs.services.jobs.query import busy_workers

    with connected() as context:
        listed = busy_workers(context)
    if as_json:
        print_json([worker_json(busy) for busy in listed])
    elif listed:
        _show(listed)
    else:
        say("no worker is alive; start one: rprm-jobs worker --judge tiny")


def worker_json(busy: BusyWorker) -> dict[str, Any]:
    """A worker as plain JSON types."""
    worker = busy.worker
    return {
        "id": worker.id,
        "serves": worker.judge,
        "queue": worker.queue,
        "engine": worker.engine,
        "host": worker.host,
        "pid": worker.pid,
        "slots": worker.slots,
        "started_at": worker.started_at.isoformat(),
        "silent_s": round(worker.silent_s, 1),
        "jobs": [{"job_id": job_id, "shards": shards} for job_id, shards in busy.shards_by_job.items()],
        "prompt_tokens": worker.prompt_tokens,
        "generated_tokens": worker.generated_tokens,
        "trouble": worker.trouble and worker.trouble.what,
        "log": worker.log,
    }


def _show(listed: list[BusyWorker]) -> None:
    from rprm_jobs.cli.shared.tables import Table, print_table

    names = ("worker", "serves", "engine", "shards", "works on", "since", "log", "trouble")
    table = Table(names, left=("serves", "engine", "works on", "since"), below=("log", "trouble"))
    for busy in listed:
        worker, held = busy.worker, busy.shards_by_job
        table.add_row(
            worker.id,
            worker.judge,
            worker.engine,
            f"{sum(held.values())}/{worker.slots}",
            ", ".join(f"job {job_id}" for job_id in held) or "nothing",
            f"{worker.started_at:%Y-%m-%d %H:%MZ}",
            worker.log or "",
            "" if worker.trouble is None else worker.trouble.what,
        )
    print_table(table)


def logs(
    of: Annotated[
        str | None,
        typer.Argument(
            metavar="WORKER|JOB",
            help="A worker's id or the beginning of it, a log's name, or a job's id.",
            show_default="list the logs",
            autocompletion=complete_job_or_worker,
        ),
    ] = None,
    lines: Annotated[int, typer.Option("--lines", metavar="N", min=0, help="Last lines to show; 0: all.")] = LINES,
    as_json: JsonOption = False,
) -> None:
    """Show a worker's log, or what all logs say about a job.

    They are of workers that commands on this machine have started. Logs that nobody has written to for 30 days are
    removed when the next worker is started.
    """
    from rprm_jobs.launch.logs import find_log, last_lines, lines_about, log_folder
    from rprm_jobs.services.jobs.query import alive_workers, job_status

    if of is None:
        _list_logs(as_json)
        return
    with connected() as context:
        folder = log_folder(context.settings)
        if of.isdecimal():
            job_id = int(of)
            job_status(context, job_id)
            shown = lines_about(folder, job_id, lines)
            if not shown:
                raise NotFound(
                    f"no log on this machine says anything about job {job_id}",
                    hint=f"who serves it: rprm-jobs status {job_id}",
                )
        else:
            path = find_log(folder, of, alive_workers(context))
            shown = [(path, line) for line in last_lines(path, lines)]
    _show_lines(shown, as_json)


def _show_lines(shown: list[tuple[Path, str]], as_json: bool) -> None:
    if as_json:
        print_json([{"log": str(path), "line": line} for path, line in shown])
        return
    last = None
    for path, line in shown:
        if path != last:
            say(f"{path}:")
            last = path
        print(line)


def _list_logs(as_json: bool) -> None:
    from rprm_jobs.cli.shared.tables import Table, print_table
    from rprm_jobs.launch.logs import list_logs, log_folder
    from rprm_jobs.settings import load_settings

    listed = list_logs(log_folder(load_settings()))
    if as_json:
        print_json(
            [{"log": str(log.path), "bytes": log.bytes, "written_at": log.written_at.isoformat()} for log in listed]
        )
        return
    table = Table(("log", "size", "last line"), left=("last line",))
    for log in listed:
        table.add_row(log.path.name, human_bytes(log.bytes), f"{log.written_at:%Y-%m-%d %H:%MZ}")
    print_table(table)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_command(app, workers, "rprm-jobs workers", group=SERVERS)
    list_has_no_lines = Rule(
        ("lines",),
        lambda values: values["of"] is not None,
        "without WORKER|JOB",
        "name a worker or a job, or leave out {option}",
    )
    add_command(app, logs, "rprm-jobs logs 7", "rprm-jobs logs worker-4711", group=SERVERS, rules=(list_has_no_lines,))
