"""The judges that jobs were submitted to, read off the table of jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.engine import Connection


@dataclass(frozen=True, slots=True)
class JudgeJobs:
    """The jobs of one queue: how many, with how many solutions, and the newest of them."""

    queue: str
    judge: str
    jobs: int
    solutions: int
    newest_job: int
    newest_at: datetime


def by_queue(connection: Connection, limit: int = 100) -> list[JudgeJobs]:
    """One row a queue, that with the newest job first."""
    query = text(
        """
        SELECT queue, (array_agg(judge ORDER BY id DESC))[1] AS judge, count(*) AS jobs,
               sum(n_solutions)::bigint AS solutions, max(id) AS newest_job, max(created_at) AS newest_at
        FROM jobs GROUP BY queue ORDER BY newest_job DESC LIMIT :limit"""
    )
    return [JudgeJobs(**row) for row in connection.execute(query, {"limit": limit}).mappings()]


@dataclass(frozen=True, slots=True)
class Speed:
    """What one job took: generated tokens a critique, and a second from its first claim to its last finish."""

    tokens_per_critique: float
    tokens_per_s: float


def speed(connection: Connection, job_id: int) -> Speed | None:
    """Read off the job's finished shards; None where none has a critique."""
    query = text(
        """
        SELECT sum(tokens_done)::float8 AS tokens, sum(critiques_done)::float8 AS critiques,
               extract(epoch FROM max(finished_at) - min(claimed_at))::float8 AS seconds
        FROM shards WHERE job_id = :job AND state = 'done' AND critiques_done > 0"""
    )
    row = connection.execute(query, {"job": job_id}).one()
    if not row.critiques or not row.seconds:
        return None
    return Speed(row.tokens / row.critiques, row.tokens / row.seconds)
