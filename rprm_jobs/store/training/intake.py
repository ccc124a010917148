"""The rows of training sets: candidates stream in by COPY, and SQL balances, splits and orders them without memory.

One transaction holds it all, so a build that dies leaves nothing. The set's references to its jobs lock those against
deletion and retry, so that no critique goes away meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.crash import crash_point
from rprm_jobs.errors import Conflict
from rprm_jobs.pairs.rows import TrainingRow
from rprm_jobs.pairs.rules import Rules
from rprm_jobs.store.schema.partitions import create_child, index_child
from rprm_jobs.store.schema.training_tables import training_rows
from rprm_jobs.store.session import driver_connection
from rprm_jobs.store.training.sets import rows_partition

_STAGED = "job_id, draw, problem, ord, step, correct, chosen, rejected"
_ORDER = "draw, job_id, ord, step, chosen, rejected"
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Arranged:
    """Rows by what became of them: candidates of both classes, those left after balancing, and both splits."""

    correct: int
    wrong: int
    cut: int
    train: int
    validation: int
    train_problems: int
    validation_problems: int


class SetIntake:
    """The rows of one new set. Use within one transaction: `load` once, `arrange` once, then `seal`."""

    def __init__(self, connection: Connection, name: str, rules: Rules, prompt: str, jobs: Iterable[tuple[int, int]]):
        self._connection, self._rules = connection, rules
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL work_mem = '128MB'"))
        self.set_id = self._insert_set(name, prompt)
        connection.execute(
            text("INSERT INTO training_set_jobs (set_id, job_id, place, n_outcomes) VALUES (:set, :job, :place, :n)"),
            [{"set": self.set_id, "job": job, "place": i, "n": n} for i, (job, n) in enumerate(jobs)],
        )

    def _insert_set(self, name: str, prompt: str) -> int:
        set_id = self._connection.execute(
            text(
                """
                INSERT INTO training_sets (name, kind, rules, rules_digest, prompt, digest, counts, n_train,
                                           n_validation)
                VALUES (:name, :kind, CAST(:rules AS jsonb), :digest, :prompt, '', '{}', 0, 0)
                ON CONFLICT (name) DO NOTHING RETURNING id"""
            ),
            {
                "name": name,
                "kind": self._rules.set_kind.value,
                "rules": _encode(self._rules.to_builtins()).decode(),
                "digest": self._rules.digest,
                "prompt": prompt,
            },
        ).scalar_one_or_none()
        if set_id is None:
            raise Conflict(f"a set {name!r} was built at the same moment", hint="look at it, or choose another --name")
        return int(set_id)

    def load(self, rows: Iterable[tuple[int, TrainingRow]]) -> None:
        """COPY `(job id, candidate)` rows in."""
        cursor = driver_connection(self._connection).cursor()
        cursor.execute(
            "CREATE TEMPORARY TABLE staged_rows (job_id BIGINT, draw BIGINT, problem BIGINT, ord INTEGER,"
            " step SMALLINT, correct BOOLEAN, chosen SMALLINT, rejected SMALLINT) ON COMMIT DROP"
        )
        with cursor.copy(f"COPY staged_rows ({_STAGED}) FROM STDIN") as copy:
            for job_id, row in rows:
                copy.write_row((job_id, *row))
        crash_point("pairs.after-copy")

    def arrange(self) -> Arranged:
        """Balance, split and order the candidates into the set's own partition."""
        classes = self._classes()
        smaller = min(classes[True], classes[False])
        keep = smaller if self._rules.balance else sum(classes.values())
        total = 2 * smaller if self._rules.balance else sum(classes.values())
        child = rows_partition(self.set_id)
        create_child(self._connection, training_rows, child, f"set_id = {self.set_id}")
        self._connection.execute(text("ANALYZE staged_rows"))
        self._connection.execute(
            text(_arrangement(child)),
            {"set": self.set_id, "keep": keep, "target": self._rules.validation_rows(total)},
        )
        splits = {row.validation: row for row in self._connection.execute(text(
            f"SELECT validation, count(*) AS rows, count(DISTINCT problem) AS problems FROM {child} GROUP BY validation"
        ))}  # fmt: skip
        counts = [(splits[v].rows, splits[v].problems) if v in splits else (0, 0) for v in (False, True)]
        return Arranged(
            correct=classes[True],
            wrong=classes[False],
            cut=sum(classes.values()) - total,
            train=counts[0][0],
            validation=counts[1][0],
            train_problems=counts[0][1],
            validation_problems=counts[1][1],
        )

    def _classes(self) -> dict[bool, int]:
        rows = self._connection.execute(text("SELECT correct, count(*) AS n FROM staged_rows GROUP BY correct"))
        return {False: 0, True: 0, **{row.correct: row.n for row in rows}}

    def seal(self, arranged: Arranged, digest: str, counts: dict[str, Any]) -> None:
        """Give the rows their key, make them part of the parent table, and enter digest and counts."""
        child = rows_partition(self.set_id)
        index_child(self._connection, training_rows, child)
        self._connection.execute(
            text(
                "UPDATE training_sets SET digest = :digest, counts = CAST(:counts AS jsonb), n_train = :train,"
                " n_validation = :validation WHERE id = :id"
            ),
            {
                "id": self.set_id,
                "digest": digest,
                "counts": _encode(counts).decode(),
                "train": arranged.train,
                "validation": arranged.validation,
            },
        )
        crash_point("pairs.before-attach")
        self._connection.execute(
            text(f"ALTER TABLE training_rows ATTACH PARTITION {child} FOR VALUES IN ({self.set_id})")
        )


def _arrangement(child: str) -> str:
    # A problem's hash is its place in the seeded order of problems: the first of them go to the validation split,
    # each with all its rows, until the split is large enough.
    return f"""
        WITH kept AS MATERIALIZED (
          SELECT * FROM (
            SELECT *, row_number() OVER (PARTITION BY correct ORDER BY {_ORDER}) AS nth FROM staged_rows) AS r
          WHERE nth <= :keep),
        problems AS (
          SELECT problem, sum(n) OVER (ORDER BY problem) - n < :target AS validation
          FROM (SELECT problem, count(*) AS n FROM kept GROUP BY problem) AS p)
        INSERT INTO {child} (set_id, validation, position, job_id, ord, step, correct, chosen, rejected, problem)
        SELECT :set, validation, row_number() OVER (PARTITION BY validation ORDER BY {_ORDER}) - 1,
               job_id, ord, step, correct, chosen, rejected, problem
        FROM kept JOIN problems USING (problem)"""
