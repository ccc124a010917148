"""Taking a job in: rows stream into bare partitions by COPY, and one transaction makes everything visible at its end.

A submit that dies leaves nothing: Postgres rolls the whole transaction back, tables included.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from psycopg import errors as pg
from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from rprm_jobs.crash import crash_point
from rprm_jobs.judge.recipe import BY_SOLUTION, Recipe
from rprm_jobs.store.jobs import grouping
from rprm_jobs.store.jobs.copying import Copied, copy_solutions
from rprm_jobs.store.jobs.new_job import NewJob, Totals, insert_job, insert_shards
from rprm_jobs.store.schema import partitions
from rprm_jobs.store.schema.tables import solutions
from rprm_jobs.store.session import copy_rows
from rprm_jobs.types import JobKind, Solution

SOLUTION_COLUMNS = (
    "job_id", "ord", "ext_id", "problem", "steps", "n_steps", "label", "step_labels", "metadata", "source", "line",
    "judge_steps",
)  # fmt: skip
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Repeated:
    """A solution whose id stood in the input before; `source` indexes the job's sources, `line` counts from 1."""

    id: str
    source: int
    line: int
    first_source: int
    first_line: int


def n_judged(solution: Solution) -> int:
    """How many steps of it are to be judged."""
    return len(solution.steps) if solution.judge_steps is None else len(solution.judge_steps)


def solution_row(job_id: int, ord_: int, source: int, line: int, solution: Solution) -> tuple[Any, ...]:
    """The solution as a row of `solutions`, in the order of SOLUTION_COLUMNS."""
    labels = None if solution.step_labels is None else _encode(solution.step_labels).decode()
    judged = solution.judge_steps
    return (
        job_id, ord_, solution.id, solution.problem, _encode(solution.steps).decode(), len(solution.steps),
        solution.label, labels, _encode(solution.metadata).decode(), source, line, judged and list(judged),
    )  # fmt: skip


class Intake:
    """The rows of one new job. Use within one transaction: `load` or `copy` once, then `seal`."""

    def __init__(self, connection: Connection, kind: JobKind = JobKind.SCORE) -> None:
        self._connection, self._kind = connection, kind
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        self.job_id: int = connection.execute(text("SELECT nextval(pg_get_serial_sequence('jobs', 'id'))")).scalar_one()
        partitions.create_bare(connection, self.job_id, kind)
        self._digest = hashlib.blake2b(digest_size=32)
        self.n_solutions = 0
        self.n_steps = 0
        self._runs = 0
        self._problem: str | None = None
        self._copied: Copied | None = None

    def copy(self, source_id: int) -> None:
        """Take in the solutions of another job that judges, as they are there. Raises NotFound."""
        self._copied = copied = copy_solutions(self._connection, source_id, self.job_id)
        self.n_solutions, self.n_steps = copied.n_solutions, copied.n_steps
        crash_point("submit.after-copy")

    def load(self, rows: Iterable[tuple[int, int, Solution]]) -> None:
        """COPY `(source, line, solution)` rows in, in their order; `ord` counts them from 0."""
        child = partitions.partition("solutions", self.job_id)
        copy_rows(self._connection, child, SOLUTION_COLUMNS, (self._columns(*row) for row in rows))
        crash_point("submit.after-copy")

    def _columns(self, source: int, line: int, solution: Solution) -> tuple[Any, ...]:
        row = solution_row(self.job_id, self.n_solutions, source, line, solution)
        steps, labels, metadata = row[4], row[7], row[8]
        self._digest.update(
            b"\x1f".join(
                (
                    solution.id.encode(),
                    solution.problem.encode(),
                    steps.encode(),
                    str(solution.label).encode(),
                    (labels or "").encode(),
                    metadata.encode(),
                    b"" if solution.judge_steps is None else _encode(solution.judge_steps),
                    b"\x1e",
                )
            )
        )
        self.n_solutions += 1
        if solution.problem != self._problem:
            self._problem = solution.problem
            self._runs += 1
        self.n_steps += n_judged(solution)
        return row

    @property
    def input_digest(self) -> str:
        """Hex digest of what was loaded, the same for equal solutions in whatever file format."""
        return self._digest.hexdigest() if self._copied is None else self._copied.input_digest

    def repeated_ids(self, limit: int) -> tuple[list[Repeated], int]:
        """Decide by the unique index whether an id is repeated: the first `limit` repetitions, and their number."""
        partitions.index_primary(self._connection, solutions, self.job_id)
        try:
            with self._connection.begin_nested():
                partitions.forbid_repeated_ids(self._connection, self.job_id)
        except IntegrityError as error:
            if not isinstance(error.orig, pg.UniqueViolation):
                raise
            return self._list_repeated(limit)
        return [], 0

    def _list_repeated(self, limit: int) -> tuple[list[Repeated], int]:
        child = partitions.partition("solutions", self.job_id)
        rows = self._connection.execute(
            text(
                f"""
                SELECT ext_id, source, line, s0, l0, count(*) OVER () AS n FROM (
                  SELECT ord, ext_id, source, line, first_value(source) OVER w AS s0, first_value(line) OVER w AS l0,
                         row_number() OVER w AS nth
                  FROM {child} WINDOW w AS (PARTITION BY ext_id ORDER BY ord)) AS r
                WHERE nth > 1 ORDER BY ord LIMIT :limit"""
            ),
            {"limit": limit},
        ).all()
        repeated = [Repeated(r.ext_id, r.source, r.line, r.s0, r.l0) for r in rows]
        return repeated, (rows[0].n if rows else 0)

    def drop_repeated_ids(self) -> None:
        """Keep the first solution of every id, and set the unique index."""
        child = partitions.partition("solutions", self.job_id)
        dropped = self._connection.execute(
            text(
                f"""
                WITH repeated AS (
                  SELECT ord FROM (SELECT ord, row_number() OVER (PARTITION BY ext_id ORDER BY ord) AS nth FROM {child}
                  ) AS r WHERE nth > 1)
                DELETE FROM {child} WHERE ord IN (SELECT ord FROM repeated)
                RETURNING coalesce(cardinality(judge_steps), n_steps) AS n_steps"""
            )
        ).all()
        partitions.forbid_repeated_ids(self._connection, self.job_id)
        self.n_solutions -= len(dropped)
        self.n_steps -= sum(row.n_steps for row in dropped)

    def seal(self, job: NewJob, *, dedupe: bool) -> int | None:
        """Insert the job and its shards. Returns None, or the id of an equal job that exists already.

        When an id is returned the caller must roll back. Two equal submissions at once: the unique key makes the
        second wait for the first to commit, and then find it.
        """
        kind = "" if self._kind is JobKind.SCORE else f"{self._kind.value}:"
        key = f"{kind}{job.recipe.digest}:{self.input_digest}" if dedupe else None
        if key is not None and (earlier := self._of_earlier_version(job.recipe, kind)) is not None:
            return earlier
        scattered = self._copied is None and grouping.is_scattered(self._connection, self.job_id, self._runs)
        grouped = scattered if self._copied is None else self._copied.grouped_by_problem
        existing = text("SELECT id FROM jobs WHERE dedupe_key = :key")
        while not self._insert_job(job, key, grouped):
            same = self._connection.execute(existing, {"key": key}).scalar_one_or_none()
            if same is not None:
                return int(same)
            # It was cancelled between the two statements.
        if scattered:
            grouping.group_by_problem(self._connection, self.job_id)
            partitions.index_primary(self._connection, solutions, self.job_id)
            partitions.forbid_repeated_ids(self._connection, self.job_id)
        insert_shards(self._connection, self.job_id, job)
        crash_point("submit.before-attach")
        partitions.attach(self._connection, self.job_id, self._kind)
        return None

    def _of_earlier_version(self, recipe: Recipe, kind: str) -> int | None:
        """The job that answers for this input since before seeds derived from what is judged."""
        if recipe.seed_rule == BY_SOLUTION:
            return None
        digest = msgspec.structs.replace(recipe, seed_rule=BY_SOLUTION).digest
        query = text("SELECT id FROM jobs WHERE dedupe_key = :key")
        key = f"{kind}{digest}:{self.input_digest}"
        return self._connection.execute(query, {"key": key}).scalar_one_or_none()

    def _insert_job(self, job: NewJob, key: str | None, grouped_by_problem: bool) -> bool:
        totals = Totals(self.n_solutions, self.n_steps, self.input_digest)
        return insert_job(
            self._connection,
            self.job_id,
            job,
            totals,
            kind=self._kind,
            dedupe_key=key,
            grouped_by_problem=grouped_by_problem,
        )
