"""Bringing the rollouts of one problem together, so that they are judged near each other and share cached prefixes.

`ord` is the order of judging. It is the order of the input unless rollouts of one problem are scattered over it; then
the rows are written again, problem by problem in order of first appearance, and results are read by source and line.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.store.schema.partitions import create_table, partition
from rprm_jobs.store.schema.tables import solutions


def is_scattered(connection: Connection, job_id: int, runs: int) -> bool:
    """Whether some problem's rollouts stand apart. `runs` counts stretches of rows with one problem."""
    distinct = connection.execute(
        text(f"SELECT count(DISTINCT hashtextextended(problem, 0)) FROM {partition('solutions', job_id)}")
    ).scalar_one()
    return runs > int(distinct)


def group_by_problem(connection: Connection, job_id: int) -> None:
    """Write the job's bare solutions again, problem by problem; the rows of one problem keep their order."""
    child = partition("solutions", job_id)
    columns = "job_id, ext_id, problem, steps, n_steps, label, step_labels, metadata, source, line, judge_steps"
    connection.execute(text(f"ALTER TABLE {child} RENAME TO {child}_scattered"))
    create_table(connection, solutions, job_id)
    connection.execute(
        text(
            f"""
            INSERT INTO {child} (ord, {columns})
            SELECT row_number() OVER (ORDER BY first, ord) - 1, {columns}
            FROM (SELECT *, min(ord) OVER (PARTITION BY problem) AS first FROM {child}_scattered) AS s
            ORDER BY first, ord"""
        )
    )
    connection.execute(text(f"DROP TABLE {child}_scattered"))
    index_input(connection, job_id)


def index_input(connection: Connection, job_id: int) -> None:
    """The index by which the results of a job in this order are read in that of its input."""
    child = partition("solutions", job_id)
    connection.execute(text(f"CREATE UNIQUE INDEX ix_{child}_input ON {child} (source, line, ord)"))
