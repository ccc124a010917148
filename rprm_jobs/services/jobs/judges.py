"""The judges that a store has jobs of: how much they judged, how fast, and who serves them."""

from __future__ import annotations

from dataclasses import dataclass

from rprm_jobs.services.context import Context
from rprm_jobs.store.jobs import judges
from rprm_jobs.store.jobs.judges import JudgeJobs, Speed
from rprm_jobs.store.queue import workers


@dataclass(frozen=True, slots=True)
class JudgeSummary:
    """One judge (one queue). `speed` is None before its first finished shard."""

    stored: JudgeJobs
    speed: Speed | None
    workers: int


def judge_summaries(context: Context) -> list[JudgeSummary]:
    """Judges by their newest job, newest first."""
    with context.database.transaction() as connection:
        alive = [worker.queue for worker in workers.alive(connection)]
        return [
            JudgeSummary(row, judges.speed(connection, row.newest_job), alive.count(row.queue))
            for row in judges.by_queue(connection)
        ]
