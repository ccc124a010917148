"""What finished work took: tokens, critiques, steps and seconds of a judge's newest jobs, to estimate others from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.store.records import StoredSolution
from rprm_jobs.store.session import Database

_JOBS = 50
_SOLUTIONS = 200
_PAGE = 1000

_MEASURED = """
  SELECT job.id, job.recipe, job.n_steps * work.solutions / job.n_solutions AS steps, work.critiques, work.tokens,
         work.seconds, read.characters, work.reused
  FROM (SELECT id, recipe, n_steps, n_solutions FROM jobs WHERE queue = :queue AND kind IN ('score', 'sample')
        ORDER BY id DESC LIMIT :jobs) AS job
  JOIN LATERAL (
    SELECT sum(n_ok + n_failed + n_quarantined)::float8 AS solutions, sum(critiques_done)::float8 AS critiques,
           sum(tokens_done)::float8 AS tokens, sum(critiques_reused)::float8 AS reused,
           extract(epoch FROM max(finished_at) - min(claimed_at))::float8 AS seconds
    FROM shards WHERE job_id = job.id AND state = 'done' AND critiques_done > 0) AS work ON work.critiques > 0
  JOIN LATERAL (
    SELECT avg(length(problem) + (SELECT sum(length(step)) FROM jsonb_array_elements_text(steps) AS step))::float8
           AS characters
    FROM solutions WHERE job_id = job.id AND ord < :solutions) AS read ON TRUE
  ORDER BY job.id DESC"""


@dataclass(frozen=True, slots=True)
class MeasuredJob:
    """A job with finished shards, and what those took. `recipe` is as the store has it: it may be of a newer version.

    `steps` are those that were submitted, judged or not: the job's mean for each of the shards' solutions. `characters`
    is the mean length of its first solutions, problem and steps. Shards overlap in time, so `seconds` are those between
    the first claim and the last finish. Of the `critiques` so many were `reused`, and none of the `tokens` is theirs.
    """

    id: int
    recipe: Mapping[str, Any]
    steps: float
    critiques: float
    tokens: float
    seconds: float
    characters: float
    reused: float = 0.0


def read_measured(connection: Connection, queue: str) -> list[MeasuredJob]:
    """The newest 50 jobs of a judge that have a finished shard with a critique, newest first."""
    limits = {"queue": queue, "jobs": _JOBS, "solutions": _SOLUTIONS}
    return [MeasuredJob(**row) for row in connection.execute(text(_MEASURED), limits).mappings()]


def read_texts(database: Database, job_id: int) -> Iterator[StoredSolution]:
    """A job's solutions in their order, page by page in short transactions."""
    page = text(
        "SELECT ord, ext_id, problem, steps FROM solutions WHERE job_id = :id AND ord > :after ORDER BY ord LIMIT :n"
    )
    after = -1
    while True:
        with database.transaction() as connection:
            rows = connection.execute(page, {"id": job_id, "after": after, "n": _PAGE}).all()
        yield from (StoredSolution(row.ord, row.ext_id, row.problem, tuple(row.steps)) for row in rows)
        if len(rows) < _PAGE:
            return
        after = rows[-1].ord
