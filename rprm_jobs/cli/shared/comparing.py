"""How judges are shown side by side: tables of jobs, of pairs of jobs and of positions, and the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rprm_jobs.cli.shared.common import print_json, say
from rprm_jobs.cli.shared.tables import Table, print_table
from rprm_jobs.errors import ConfigError
from rprm_jobs.words import counted

if TYPE_CHECKING:
    from rprm_jobs.services.evaluation.comparing import Compared


def show_comparison(compared: Compared, *, as_json: bool) -> None:
    """What a reader must know on stderr, the numbers on stdout."""
    document = compared.as_json()
    for job in document["jobs"]:
        if job["not_shared"]:
            other = f"; {job['other_content']:,} have a shared id and other content" if job["other_content"] else ""
            of = f"{job['not_shared']:,} of {counted(job['solutions'], 'solution')}"
            say(f"job {job['job_id']}: not shared: {of}{other}")
        if job["without_prediction"]:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in job["without_prediction"].items())
            say(f"job {job['job_id']}: {reasons}, which count as misses")
    say(f"shared: {counted(document['shared'], 'solution')}, {document['labelled']:,} of them labelled;"
        f" the judges differ on {document['differ']:,}")  # fmt: skip
    if as_json:
        print_json(document)
        return
    print_table(_jobs(document["jobs"]))
    print()
    print_table(_pairs(document["pairs"]))
    if any(job["positions"] for job in document["jobs"]):
        print()
        print_table(_positions(document["jobs"]))


def _jobs(jobs: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(("job", "judge", "F1", "95% interval", "PRMScore", "tokens/solution", "s/solution"), left=("judge",))
    for job in jobs:
        table.add_row(
            str(job["job_id"]), job["judge"], _number(job["f1"]), _interval(job["f1_interval"]),
            _number(job["prmscore"]), _number(job["tokens_per_solution"]), _number(job["seconds_per_solution"], 3),
        )  # fmt: skip
    return table


def _pairs(pairs: Sequence[Mapping[str, Any]]) -> Table:
    names = ("jobs", "kappa steps", "kappa first error", "F1", "95% interval", "tokens/solution", "95%")
    table = Table(names)
    for pair in pairs:
        table.add_row(
            "{1} - {0}".format(*pair["jobs"]), _number(pair["kappa_steps"], 3), _number(pair["kappa_first_error"], 3),
            _signed(pair["f1_difference"]), _interval(pair["f1_interval"]), _signed(pair["tokens_difference"]),
            _interval(pair["tokens_interval"]),
        )  # fmt: skip
    return table


def _positions(jobs: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(("calls that are right, by step", *(f"job {job['job_id']}" for job in jobs)))
    by_job = [{point["position"]: point for point in job["positions"]} for job in jobs]
    for position in sorted(set().union(*by_job)):
        points = [points.get(position) for points in by_job]
        cells = ["-" if point is None else f"{point['accuracy']:.1f} of {point['n']:,}" for point in points]
        table.add_row(str(position), *cells)
    return table


def write_page(page: str, output: Path) -> None:
    """Write it. Raises ConfigError where that cannot be."""
    try:
        output.write_text(page, encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(
            f"the page cannot be written: {error.strerror}", where=str(output), hint="name a file in a writable folder"
        ) from error


def _number(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1f}"


def _interval(ends: tuple[float, float] | None) -> str:
    return "-" if ends is None else f"{ends[0]:.1f} to {ends[1]:.1f}"
