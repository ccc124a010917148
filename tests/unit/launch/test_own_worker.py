"""The worker of a waiting command: replaced when another job's rollout ends it, and never for ever."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from rprm_jobs.errors import EngineError
from rprm_jobs.launch.workers import OwnWorker, WorkerChoice
from rprm_jobs.services.jobs.query import JobStatus
from rprm_jobs.store.records import JobState, Progress, WorkerInfo

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@dataclass
class Child:
    """Stands for a worker process."""

    pid: int
    ready: bool = True
    status: int | None = None
    log: Path = Path("worker.log")

    def exit_status(self) -> int | None:
        return self.status

    def was_ready(self) -> bool:
        return self.ready

    def last_lines(self) -> list[str]:
        return ["the last line"]


@dataclass
class Waiting:
    """A command that waits, with the children that it started and what it said."""

    children: list[Child] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        context: Any = None
        self.own = OwnWorker(
            context, WorkerChoice("tiny", "auto", ()), self.said.append, cast(Any, lambda *_: self._start())
        )

    def _start(self) -> Child:
        self.children.append(Child(len(self.children)))
        return self.children[-1]

    def tend(self, *, solutions: int = 0, others: tuple[WorkerInfo, ...] = ()) -> None:
        progress = Progress(1, 0, 1, 0, 0, solutions, 0, 0, 0, 0, 0, None, None, NOW, None)
        job: Any = None
        self.own.tend(JobStatus(job, progress, JobState.RUNNING, None, others), "rprm-jobs worker")


def other(pid: int = 77, silent_s: float = 1.0) -> WorkerInfo:
    return WorkerInfo("w", "q", "tiny", "e", "h", pid, 4, NOW, silent_s, 0, 0, None)


def test_a_worker_that_was_ready_is_replaced_a_bounded_number_of_times() -> None:
    waiting = Waiting()
    waiting.tend()
    for number in range(10):
        waiting.children[-1].status = 8
        waiting.tend()
        assert waiting.said[-1].endswith(f"started another ({number + 1} of at most 10 without progress)")
    waiting.children[-1].status = 137
    with pytest.raises(EngineError, match=r"status 137:\n    the last line"):
        waiting.tend()
    assert len(waiting.children) == 11


def test_progress_begins_the_count_anew() -> None:
    waiting = Waiting()
    waiting.tend()
    for number in range(30):
        waiting.children[-1].status = 8
        waiting.tend(solutions=number // 5)
    assert len(waiting.children) == 31


def test_a_worker_that_never_was_ready_is_an_error_at_once() -> None:
    waiting = Waiting()
    waiting.tend()
    waiting.children[0].ready, waiting.children[0].status = False, 8
    with pytest.raises(EngineError, match="status 8"):
        waiting.tend()


def test_where_others_serve_the_wait_goes_on_without_it() -> None:
    waiting = Waiting()
    waiting.tend()
    waiting.children[0].ready, waiting.children[0].status = False, 8
    waiting.tend(others=(other(),))
    assert waiting.said[-1] == "the worker exited with status 8; other workers serve the job, so the wait goes on"
    waiting.tend(others=(other(),))
    assert len(waiting.children) == 1


@pytest.mark.parametrize("serving", [other(pid=0), other(silent_s=40.0)])
def test_its_own_entry_and_one_that_fell_silent_are_no_others(serving: WorkerInfo) -> None:
    waiting = Waiting()
    waiting.tend()
    waiting.children[0].ready, waiting.children[0].status = False, 8
    with pytest.raises(EngineError):
        waiting.tend(others=(serving,))
