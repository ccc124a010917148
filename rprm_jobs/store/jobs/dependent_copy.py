"""A score job made of the solutions that another job wrote: copied within Postgres, in batches of short transactions.

How far the copy has come is stored with the request and changes in the transaction of each batch, so it goes on where
the last one was killed, whoever takes over. Until the last transaction attaches them the partitions are bare tables
that nothing but the request names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.crash import crash_point
from rprm_jobs.store.jobs import grouping, jobs
from rprm_jobs.store.jobs.new_job import NewJob, Totals, insert_job, insert_shards, shard_size
from rprm_jobs.store.jobs.screened_copy import copy_screened
from rprm_jobs.store.queue import dependents
from rprm_jobs.store.schema import migrations, partitions
from rprm_jobs.store.schema.tables import solutions
from rprm_jobs.types import JobKind

# Rows of the source looked at in one transaction: about 0.3 s of Postgres's time.
ORDS = 10_000


class Progress(Enum):
    """What is left to do: MORE batches; nothing, as it is CREATED; nothing by us, as it is ELSEWHERE or not due.

    EMPTY: no solution was written, so there is no job to create.
    """

    MORE = "more"
    CREATED = "created"
    ELSEWHERE = "elsewhere"
    EMPTY = "empty"


class _Stage(Enum):
    ROWS = "rows"
    KEY = "key"
    IDS = "ids"
    JOB = "job"


class _Copy(msgspec.Struct, frozen=True):
    """`job` is the id of the job to be; `after` the last ord of the source that was looked at.

    `began_at` (Postgres's clock, seconds) and `revision` of the schema say whether what was copied still holds.
    """

    job: int
    began_at: float
    revision: str | None
    stage: _Stage = _Stage.ROWS
    after: int = -1
    solutions: int = 0
    steps: int = 0


@dataclass(frozen=True, slots=True)
class _Source:
    id: int
    new: NewJob


def advance(connection: Connection, source_id: int, new: NewJob) -> Progress:
    """Do the next part of the copy in this transaction. `new.shard_solutions` is the most that a shard will hold.

    Raises NotFound when the source was deleted.
    """
    if not dependents.claim(connection, source_id):
        return Progress.ELSEWHERE
    jobs.lock(connection, source_id)
    request = dependents.read_request(connection, source_id) or {}
    if "copying" not in request:
        return _begin(connection, source_id) if dependents.is_due(connection, source_id) else Progress.ELSEWHERE
    copy = msgspec.convert(request["copying"], _Copy)
    if copy.revision != migrations.revision(connection):
        # Bare tables are not migrated.
        dependents.drop_copy(connection, source_id)
        return Progress.MORE
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    progress = _STAGES[copy.stage](connection, _Source(source_id, new), copy)
    crash_point("copy.before-commit")
    return progress


def _begin(connection: Connection, source_id: int) -> Progress:
    query = text("SELECT nextval(pg_get_serial_sequence('jobs', 'id')) AS id, extract(epoch FROM now())::float8 AS now")
    row = connection.execute(query).one()
    partitions.create_bare(connection, row.id, JobKind.SCORE)
    copy = _Copy(row.id, row.now, migrations.revision(connection))
    return _reached(connection, source_id, copy)


def _reached(connection: Connection, source_id: int, copy: _Copy) -> Progress:
    dependents.set_copy(connection, source_id, msgspec.to_builtins(copy))
    return Progress.MORE


def _copy_rows(connection: Connection, source: _Source, copy: _Copy) -> Progress:
    last, scale = copy.after + ORDS, source.new.screen
    if scale is None:
        copied = _copy_responses(connection, source, copy, last)
    else:
        copied = copy_screened(connection, source.id, copy.job, first=copy.after + 1, last=last, scale=scale)
    reached = msgspec.structs.replace(
        copy,
        stage=_Stage.KEY if copied.top is None or last >= copied.top else _Stage.ROWS,
        after=last,
        solutions=copy.solutions + copied.solutions,
        steps=copy.steps + int(copied.steps),
    )
    return _reached(connection, source.id, reached)


def _copy_responses(connection: Connection, source: _Source, copy: _Copy, last: int) -> Any:
    rows, scores, responses = (partitions.partition(name, source.id) for name in ("solutions", "scores", "responses"))
    query = text(
        f"""
        WITH copied AS (
          INSERT INTO {partitions.partition("solutions", copy.job)}
            (job_id, ord, ext_id, problem, steps, n_steps, metadata, source, line)
          SELECT :job, :base + row_number() OVER (ORDER BY s.ord) - 1, s.ext_id, s.problem, w.steps,
                 jsonb_array_length(w.steps), s.metadata, 0, s.ord + 1
          FROM {rows} AS s
          JOIN {scores} AS r ON r.ord = s.ord AND r.ord BETWEEN :first AND :last AND r.status = 'ok'
          JOIN {responses} AS w ON w.ord = s.ord AND w.ord BETWEEN :first AND :last
          WHERE s.ord BETWEEN :first AND :last
          RETURNING n_steps)
        SELECT count(*) AS solutions, coalesce(sum(n_steps), 0) AS steps, (SELECT max(ord) FROM {rows}) AS top
        FROM copied"""
    )
    values = {"job": copy.job, "base": copy.solutions, "first": copy.after + 1, "last": last}
    return connection.execute(query, values).one()


def _index_key(connection: Connection, source: _Source, copy: _Copy) -> Progress:
    partitions.index_primary(connection, solutions, copy.job)
    if source.new.grouped_by_problem:
        grouping.index_input(connection, copy.job)
    return _reached(connection, source.id, msgspec.structs.replace(copy, stage=_Stage.IDS))


def _index_ids(connection: Connection, source: _Source, copy: _Copy) -> Progress:
    partitions.forbid_repeated_ids(connection, copy.job)
    return _reached(connection, source.id, msgspec.structs.replace(copy, stage=_Stage.JOB))


def _create_job(connection: Connection, source: _Source, copy: _Copy) -> Progress:
    if not dependents.is_due(connection, source.id):
        # Its failed solutions are being written again; it is due when they are.
        return Progress.ELSEWHERE
    if _changed_since(connection, source.id, copy.began_at):
        dependents.drop_copy(connection, source.id)
        return Progress.MORE
    if copy.solutions == 0:
        dependents.drop_copy(connection, source.id)
        return Progress.EMPTY
    new = replace(source.new, shard_solutions=shard_size(copy.solutions, source.new.shard_solutions, source.new.recipe))
    digest = hashlib.blake2b(f"the solutions of job {source.id}".encode(), digest_size=32).hexdigest()
    totals = Totals(copy.solutions, copy.steps, digest)
    insert_job(connection, copy.job, new, totals, grouped_by_problem=new.grouped_by_problem)
    insert_shards(connection, copy.job, new)
    partitions.attach(connection, copy.job, JobKind.SCORE)
    dependents.link(connection, source.id, copy.job)
    return Progress.CREATED


def _changed_since(connection: Connection, job_id: int, began_at: float) -> bool:
    """Whether some solution of the job was written again after the copy began, as a retry has it."""
    query = text("SELECT 1 FROM shards WHERE job_id = :id AND finished_at > to_timestamp(:began_at) LIMIT 1")
    return connection.execute(query, {"id": job_id, "began_at": began_at}).one_or_none() is not None


_STAGES: dict[_Stage, Callable[[Connection, _Source, _Copy], Progress]] = {
    _Stage.ROWS: _copy_rows,
    _Stage.KEY: _index_key,
    _Stage.IDS: _index_ids,
    _Stage.JOB: _create_job,
}
