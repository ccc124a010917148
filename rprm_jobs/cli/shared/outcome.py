"""How a job ended, as an error with an exit status of its own, so that no script takes a failure for success."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from rprm_jobs.errors import JobCancelled, NoneSucceeded, SomeFailed
from rprm_jobs.words import counted


class FailOn(StrEnum):
    """Which failed solutions make a waiting command fail."""

    NONE = "none"
    ANY = "any"
    ALL = "all"


FailOnOption = Annotated[
    FailOn,
    typer.Option(
        "--fail-on", help="With --wait: exit with an error if any solution failed, only if all did, or never (none)."
    ),
]


def check_outcome(job_id: int, summary: dict[str, Any], fail_on: FailOn = FailOn.ANY) -> None:
    """Raises JobCancelled, NoneSucceeded or SomeFailed, as `fail_on` asks. `summary` is what waiting returned."""
    ok, failed = summary["ok"], summary["failed"] + summary["quarantined"]
    if summary["state"] == "cancelled":
        raise JobCancelled(f"job {job_id} was cancelled", hint=f"read what is judged: rprm-jobs results {job_id}")
    if not failed or fail_on is FailOn.NONE:
        return
    hint = f"see why: rprm-jobs results {job_id} --failed; then try again: rprm-jobs retry {job_id}"
    if not ok:
        raise NoneSucceeded(f"none of the {counted(failed, 'solution')} of job {job_id} succeeded", hint=hint)
    if fail_on is FailOn.ANY:
        raise SomeFailed(f"{failed:,} of {counted(ok + failed, 'solution')} of job {job_id} failed", hint=hint)
