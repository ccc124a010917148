"""Reading a job's labelled solutions for training: labels and packed readings by keyset, texts only where needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.pairs.rows import JudgedSolution
from rprm_jobs.pairs.summary import Readings, read_steps, unpack_readings
from rprm_jobs.store.schema.partitions import partition
from rprm_jobs.store.session import Database
from rprm_jobs.store.texts import unpack_texts


def count_outcomes(connection: Connection, job_id: int) -> int:
    """How many of the job's solutions have an outcome."""
    return int(connection.execute(text(f"SELECT count(*) FROM {partition('scores', job_id)}")).scalar_one())


def has_labels(connection: Connection, job_id: int) -> bool:
    """Whether any solution of the job came with labels."""
    query = (
        f"SELECT EXISTS (SELECT 1 FROM {partition('solutions', job_id)} AS s"
        " WHERE label IS NOT NULL OR jsonb_path_exists(step_labels, '$[*] ? (@ != null)'))"
    )
    return bool(connection.execute(text(query)).scalar_one())


def read_judged(database: Database, job_id: int, *, batch: int = 1000) -> Iterator[list[JudgedSolution]]:
    """The job's solutions in order, with or without an outcome; each batch is a transaction of its own."""
    query = text(
        f"""
        SELECT s.ord, s.ext_id, s.problem, s.n_steps, s.label, s.step_labels, c.ord IS NOT NULL AS kept, c.readings
        FROM {partition("solutions", job_id)} AS s LEFT JOIN {partition("critiques", job_id)} AS c ON c.ord = s.ord
        WHERE s.ord > :after ORDER BY s.ord LIMIT :batch"""
    )
    after = -1
    while True:
        with database.transaction() as connection:
            rows = connection.execute(query, {"after": after, "batch": batch}).all()
            if not rows:
                return
            readings = _readings(connection, job_id, rows)
        yield [
            JudgedSolution(r.ord, r.ext_id, r.problem, r.n_steps, r.label, r.step_labels, readings.get(r.ord))
            for r in rows
        ]
        after = rows[-1].ord


def _readings(connection: Connection, job_id: int, rows: Any) -> dict[int, Readings]:
    """The readings by ord; those that are not there, or are of another rule, are made from the texts."""
    by_ord: dict[int, Readings] = {}
    unread: list[int] = []
    for row in rows:
        readings = None if row.readings is None else unpack_readings(row.readings)
        if readings is not None:
            by_ord[row.ord] = readings
        elif row.kept:
            unread.append(row.ord)
    if unread:
        query = text(f"SELECT ord, texts FROM {partition('critiques', job_id)} WHERE ord = ANY(:ords)")
        for ord_, texts in connection.execute(query, {"ords": unread}):
            by_ord[ord_] = read_steps(unpack_texts(texts))
    return by_ord
