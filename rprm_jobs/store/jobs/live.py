"""Live jobs: solutions are added while others are judged, each of them once however often it is handed in.

There is one for each run and recipe; a unique key decides who creates it. Every batch is a transaction of its own that
locks the job, so `ord` and the job's counts stay those of its rows, and a reader sees whole shards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.store.jobs.intake import SOLUTION_COLUMNS, n_judged, solution_row
from rprm_jobs.store.jobs.new_job import NewJob, Totals, insert_job
from rprm_jobs.store.schema import partitions
from rprm_jobs.store.schema.partitions import partition
from rprm_jobs.store.schema.tables import solutions as solutions_table
from rprm_jobs.store.session import copy_rows
from rprm_jobs.types import URGENT_PRIORITY, KeepCritiques, Solution


@dataclass(frozen=True, slots=True)
class Added:
    """Where solutions stand in their live job: its id, and `ord` by the solution's id. `new` were not there before."""

    job_id: int
    ords: dict[str, int]
    new: int


@dataclass(frozen=True, slots=True)
class LiveOutcome:
    """One solution's outcome, as `SolutionScore` has it."""

    status: str
    reason: str | None
    rewards: tuple[float | None, ...]
    first_error: int | None


def add(
    connection: Connection,
    run: str,
    recipe: Recipe,
    solutions: Sequence[Solution],
    *,
    keep: KeepCritiques,
    shard_solutions: int,
) -> Added:
    """Queue the solutions that the live job of this run and recipe does not have yet; ids say which are the same.

    Creates the job where there is none. Ids must not repeat within `solutions`, of which there is at least one.
    """
    key = f"live:{run}:{recipe.digest}"
    query = text(
        "SELECT id, n_solutions, coalesce((extension ->> 'generation')::int, 0) AS generation FROM jobs"
        " WHERE dedupe_key = :key FOR UPDATE"
    )
    while (job := connection.execute(query, {"key": key}).one_or_none()) is None:
        _create(connection, key, NewJob(recipe, URGENT_PRIORITY, keep, (f"run {run}",), shard_solutions))
    ids = [solution.id for solution in solutions]
    child = partition("solutions", job.id)
    known = connection.execute(text(f"SELECT ext_id, ord FROM {child} WHERE ext_id = ANY(:ids)"), {"ids": ids})
    ords = {row.ext_id: row.ord for row in known}
    new = [solution for solution in solutions if solution.id not in ords]
    if new:
        rows = [solution_row(job.id, job.n_solutions + i, 0, job.n_solutions + i + 1, s) for i, s in enumerate(new)]
        copy_rows(connection, child, SOLUTION_COLUMNS, rows)
        ords |= {solution.id: job.n_solutions + i for i, solution in enumerate(new)}
        size = max(1, min(shard_solutions, len(new) // 8))
        _grow(connection, job.id, job.n_solutions, new, size=size, generation=job.generation)
    return Added(job.id, ords, len(new))


def _create(connection: Connection, key: str, job: NewJob) -> None:
    """Create the job without solutions, unless another has just done so."""
    job_id: int = connection.execute(text("SELECT nextval(pg_get_serial_sequence('jobs', 'id'))")).scalar_one()
    if not insert_job(connection, job_id, job, Totals(0, 0, ""), dedupe_key=key):
        return
    partitions.create_bare(connection, job_id)
    partitions.index_primary(connection, solutions_table, job_id)
    partitions.forbid_repeated_ids(connection, job_id)
    partitions.attach(connection, job_id)


def _grow(
    connection: Connection, job_id: int, first: int, new: Sequence[Solution], *, size: int, generation: int
) -> None:
    # A shard of the present extension, or one that ended would count it as waiting for ever.
    connection.execute(
        text(
            "INSERT INTO shards (job_id, queue, priority, extension, first_ord, last_ord)"
            " SELECT id, queue, priority, :generation, o, least(o + :size - 1, :last)"
            " FROM jobs, generate_series(CAST(:first AS int), :last, :size) AS o WHERE id = :job ORDER BY o"
        ),
        {"job": job_id, "generation": generation, "size": size, "first": first, "last": first + len(new) - 1},
    )
    connection.execute(
        text("UPDATE jobs SET n_solutions = n_solutions + :n, n_steps = n_steps + :steps WHERE id = :job"),
        {"job": job_id, "n": len(new), "steps": sum(map(n_judged, new))},
    )


def outcomes(connection: Connection, job_id: int, ords: Sequence[int]) -> dict[int, LiveOutcome]:
    """Those of the solutions that have an outcome, by `ord`. Raises Deleted with the job (rprm_jobs.store.session)."""
    rows = connection.execute(
        text(
            f"SELECT ord, status, reason, rewards, first_error FROM {partition('scores', job_id)}"
            " WHERE ord = ANY(:ords)"
        ),
        {"ords": list(ords)},
    )
    return {row.ord: LiveOutcome(row.status, row.reason, tuple(row.rewards), row.first_error) for row in rows}


def is_cancelled(connection: Connection, job_id: int) -> bool:
    """Whether the job was cancelled, so that what has no outcome will get none."""
    query = text("SELECT cancelled_at IS NOT NULL FROM jobs WHERE id = :id")
    return bool(connection.execute(query, {"id": job_id}).scalar_one_or_none())
