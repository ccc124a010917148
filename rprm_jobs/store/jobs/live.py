"""Live jobs: solutions are added while others are judged, each of them once however often it is handed in.

There is one for each run and recipe; a unique key decides who creates it. Every batch is a transaction of its own that
locks the job, so `ord` and the job's counts stay those of its rows, and a reader sees whole shards.

While workers keep up, solutions are spread over small shards, which are judged at the same time. A shard costs its
worker some transactions, whatever its size, so where many are ready already the last one takes more solutions instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

# A batch is spread over so many shards, and so many ready ones are more than the slots of some workers.
_SPREAD, _MANY_READY = 8, 16


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
        _grow(connection, job.id, job.n_solutions, new, most=shard_solutions, generation=job.generation)
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
    connection: Connection, job_id: int, first: int, new: Sequence[Solution], *, most: int, generation: int
) -> None:
    last = first + len(new) - 1
    shards = {"job": job_id, "generation": generation, "last": last, "most": most}
    rest = first
    if len(new) < most and _is_behind(connection, job_id) and _add_to_last(connection, first, shards):
        rest = last + 1
    # A shard of the present extension, or one that ended would count it as waiting for ever.
    connection.execute(
        text(
            "INSERT INTO shards (job_id, queue, priority, extension, first_ord, last_ord)"
            " SELECT id, queue, priority, :generation, o, least(o + :size - 1, :last)"
            " FROM jobs, generate_series(CAST(:first AS int), :last, :size) AS o WHERE id = :job ORDER BY o"
        ),
        {**shards, "first": rest, "size": max(1, min(most, len(new) // _SPREAD))},
    )
    connection.execute(
        text("UPDATE jobs SET n_solutions = n_solutions + :n, n_steps = n_steps + :steps WHERE id = :job"),
        {"job": job_id, "n": len(new), "steps": sum(map(n_judged, new))},
    )


def _is_behind(connection: Connection, job_id: int) -> bool:
    """Whether more urgent shards are ready than workers will take at once."""
    query = text(
        "SELECT count(*) FROM (SELECT 1 FROM shards WHERE queue = (SELECT queue FROM jobs WHERE id = :job)"
        " AND state = 'ready' AND priority >= :urgent LIMIT :many) AS ready"
    )
    values = {"job": job_id, "urgent": URGENT_PRIORITY, "many": _MANY_READY}
    return int(connection.execute(query, values).scalar_one()) >= _MANY_READY


def _add_to_last(connection: Connection, first: int, shards: Mapping[str, int]) -> bool:
    """Add the solutions from `first` on to the shard before them; False where somebody holds it, or it is full."""
    # One that a worker claims at this moment is skipped, not waited for: the claim has read how far it goes.
    query = text(
        "UPDATE shards SET last_ord = :last WHERE id = (SELECT id FROM shards WHERE job_id = :job"
        " AND first_ord > :last - :most AND first_ord < :first AND last_ord = :first - 1"
        " AND state = 'ready' AND failures = 0 AND extension = :generation FOR UPDATE SKIP LOCKED)"
    )
    return connection.execute(query, {**shards, "first": first}).rowcount == 1


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
