"""Reading a training set's rows back in training order, with the texts that they refer to, in short transactions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.errors import Conflict
from rprm_jobs.store.schema.partitions import partition
from rprm_jobs.store.session import Database
from rprm_jobs.store.texts import unpack_texts
from rprm_jobs.store.training.sets import rows_partition


@dataclass(frozen=True, slots=True)
class SetRow:
    """One row: `step` (0-based) was judged, `correct` is its label, `rejected` None in a set of single critiques."""

    job_id: int
    id: str
    problem: str
    steps: Sequence[str]
    step: int
    correct: bool
    chosen: str
    rejected: str | None


def read_rows(database: Database, set_id: int, *, validation: bool, batch: int = 200) -> Iterator[SetRow]:
    """The rows of one split in their seeded order. Raises Conflict when the set is deleted meanwhile."""
    query = text(
        f"SELECT position, job_id, ord, step, correct, chosen, rejected FROM {rows_partition(set_id)}"
        " WHERE validation = :validation AND position > :after ORDER BY position LIMIT :batch"
    )
    after = -1
    while True:
        with database.transaction() as connection:
            _refuse_deleted(connection, set_id)
            rows = connection.execute(query, {"validation": validation, "after": after, "batch": batch}).all()
            if not rows:
                return
            solutions = _solutions(connection, rows)
        for row in rows:
            yield _joined(row, *solutions[row.job_id, row.ord])
        after = rows[-1].position


def _refuse_deleted(connection: Connection, set_id: int) -> None:
    # Locked for the transaction, so that the partition cannot go away between this look and the next.
    present = connection.execute(text("SELECT 1 FROM training_sets WHERE id = :id FOR SHARE"), {"id": set_id}).scalar()
    if present is None:
        raise Conflict("the set was deleted while it was read", hint="build it again")


def _solutions(connection: Connection, rows: Sequence[Any]) -> dict[tuple[int, int], tuple[str, str, Any, Any]]:
    """By job and ord: id, problem, steps, and the texts by step and k."""
    ords: dict[int, set[int]] = {}
    for row in rows:
        ords.setdefault(row.job_id, set()).add(row.ord)
    solutions = {}
    for job_id, job_ords in ords.items():
        query = text(
            f"SELECT s.ord, s.ext_id, s.problem, s.steps, c.texts FROM {partition('solutions', job_id)} AS s"
            f" JOIN {partition('critiques', job_id)} AS c USING (ord) WHERE s.ord = ANY(:ords)"
        )
        for s in connection.execute(query, {"ords": sorted(job_ords)}):
            solutions[job_id, s.ord] = (s.ext_id, s.problem, s.steps, unpack_texts(s.texts))
    return solutions


def _joined(row: Any, id_: str, problem: str, steps: Sequence[str], texts: Any) -> SetRow:
    group = texts[row.step]
    rejected = None if row.rejected is None else group[row.rejected]
    return SetRow(row.job_id, id_, problem, steps, row.step, row.correct, group[row.chosen], rejected)
