"""A bar for `Job.wait(progress=True)`: in a terminal and in a notebook; without it, nothing is printed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rprm_jobs.services.jobs.query import JobStatus

_log = logging.getLogger("rprm_jobs.client")


class Shown(Protocol):
    """What shows a job's progress."""

    def update(self, status: JobStatus) -> None:
        """The job is so far."""
        ...

    def say(self, message: str) -> None:
        """Something that the user should know."""
        ...


class _Logged:
    def update(self, status: JobStatus) -> None:
        """Nothing: a caller that wants to know asks for the status."""

    def say(self, message: str) -> None:
        _log.info("%s", message)


@contextmanager
def show_progress(job_id: int, *, shown: bool) -> Iterator[Shown]:
    """A bar where one is wanted; messages go to the log of `rprm_jobs.client` otherwise."""
    if not shown:
        yield _Logged()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task(f"job {job_id}", total=None)

        class Bar:
            def update(self, status: JobStatus) -> None:
                progress.update(task, total=status.job.n_solutions, completed=status.progress.solutions)

            def say(self, message: str) -> None:
                progress.console.print(message, markup=False)

        yield Bar()
