"""The solutions of one job copied for another, inside Postgres: the same ids, contents, labels and order of judging."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.errors import NotFound
from rprm_jobs.store.jobs import grouping
from rprm_jobs.store.schema.partitions import partition

_BATCH = 20_000
_COLUMNS = "ord, ext_id, problem, steps, n_steps, label, step_labels, metadata, source, line, judge_steps"


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied. `input_digest` is the source job's, so a job of the same files is the same input.

    `grouped_by_problem`: the order of judging is not that of the input.
    """

    n_solutions: int
    n_steps: int
    input_digest: str
    grouped_by_problem: bool


def copy_solutions(connection: Connection, source_id: int, target_id: int) -> Copied:
    """Fill the bare solutions of `target_id`, a range of `ord` at a time. Raises NotFound.

    The source job cannot be deleted until the transaction ends.
    """
    query = text(
        "SELECT n_solutions, n_steps, input_digest, gathered FROM jobs WHERE id = :id AND kind IN ('score', 'sample')"
        " FOR KEY SHARE"
    )
    job = connection.execute(query, {"id": source_id}).one_or_none()
    if job is None:
        raise NotFound(f"there is no job {source_id} with solutions to judge", hint="list them: rprm-jobs jobs")
    source, target = partition("solutions", source_id), partition("solutions", target_id)
    last: int = connection.execute(text(f"SELECT max(ord) FROM {source}")).scalar_one()
    copy = text(
        f"INSERT INTO {target} (job_id, {_COLUMNS}) SELECT :job, {_COLUMNS} FROM {source}"
        " WHERE ord >= :first AND ord < :end ORDER BY ord"
    )
    for first in range(0, last + 1, _BATCH):
        connection.execute(copy, {"job": target_id, "first": first, "end": first + _BATCH})
    if job.gathered:
        grouping.index_input(connection, target_id)
    return Copied(job.n_solutions, job.n_steps, job.input_digest, job.gathered)
