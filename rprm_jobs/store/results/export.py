"""Reading a job's outcomes back in the order of the input, by keyset, in short transactions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.store.records import Job
from rprm_jobs.store.schema.partitions import partition
from rprm_jobs.store.session import Database


@dataclass(frozen=True, slots=True)
class Outcome:
    """One solution with its outcome; `status` is None while there is none. `texts` is the packed critiques blob.

    `critiques_per_step` is None for a step that was not to be judged; `reused_per_step` is None where none was reused.
    """

    ord: int
    id: str
    status: str | None
    reason: str | None
    rewards: list[float | None] | None
    first_error: int | None
    critiques_per_step: list[int | None] | None
    by_votes: bool | None
    plan: int | None
    label: int | None
    step_labels: list[int | None] | None
    metadata: dict[str, Any]
    texts: bytes | None
    problem: str | None
    steps: list[str] | None
    source: int
    line: int
    screen: list[float | None] | None
    reused_per_step: list[int] | None


def read_outcomes(
    database: Database, job: Job, *, with_texts: bool = False, with_steps: bool = False, batch: int = 2000
) -> Iterator[list[Outcome]]:
    """Batches of outcomes in the order of the input; each batch is a transaction of its own."""
    query = text(_outcome_query(job, with_texts, with_steps))
    after: tuple[int, int, int] = (-1, -1, -1)
    while True:
        with database.transaction() as connection:
            values = {"ord": after[0], "source": after[1], "line": after[2], "batch": batch}
            used = {name: value for name, value in values.items() if f":{name}" in query.text}
            rows = connection.execute(query, used).all()
        if not rows:
            return
        yield [Outcome(*row) for row in rows]
        after = (rows[-1].ord, rows[-1].source, rows[-1].line)


def read_after(
    database: Database, job: Job, after: int, limit: int, *, with_texts: bool = False, with_steps: bool = False
) -> list[Outcome]:
    """The next outcomes in the order of judging; those without an outcome have no status."""
    query = _select(job, with_texts, with_steps) + " WHERE s.ord > :after ORDER BY s.ord LIMIT :limit"
    with database.transaction() as connection:
        return [Outcome(*row) for row in connection.execute(text(query), {"after": after, "limit": limit})]


def read_some(
    database: Database, job: Job, ords: Sequence[int], *, with_texts: bool = False, with_steps: bool = False
) -> list[Outcome]:
    """The outcomes of these solutions, in the order of judging; those without an outcome have no status."""
    query = _select(job, with_texts, with_steps) + " WHERE s.ord = ANY(:ords) ORDER BY s.ord"
    with database.transaction() as connection:
        return [Outcome(*row) for row in connection.execute(text(query), {"ords": list(ords)})]


def _outcome_query(job: Job, with_texts: bool, with_steps: bool) -> str:
    after, order = (
        ("(s.source, s.line, s.ord) > (:source, :line, :ord)", "s.source, s.line, s.ord")
        if job.grouped_by_problem
        else ("s.ord > :ord", "s.ord")
    )
    return f"{_select(job, with_texts, with_steps)} WHERE {after} ORDER BY {order} LIMIT :batch"


def _select(job: Job, with_texts: bool, with_steps: bool) -> str:
    texts = "c.texts" if with_texts else "NULL"
    join = f"LEFT JOIN {partition('critiques', job.id)} AS c ON c.ord = s.ord" if with_texts else ""
    steps = "s.problem, s.steps" if with_steps else "NULL, NULL"
    return f"""
        SELECT s.ord, s.ext_id, r.status, r.reason, r.rewards, r.first_error, r.critiques_per_step, r.by_votes, r.plan,
               s.label, s.step_labels, s.metadata, {texts}, {steps}, s.source, s.line, s.screen,
               r.reused_per_step
        FROM {partition("solutions", job.id)} AS s
        LEFT JOIN {partition("scores", job.id)} AS r ON r.ord = s.ord {join}"""


def read_forced(connection: Connection, job_id: int, ords: list[int]) -> set[tuple[int, int, int]]:
    """`(ord, step, k)` of the forced verdicts of these solutions."""
    query = text(f"SELECT ord, step, k FROM {partition('verdicts', job_id)} WHERE ord = ANY(:ords) AND forced")
    return {(r.ord, r.step, r.k) for r in connection.execute(query, {"ords": ords})}


def count_forced(connection: Connection, job_id: int) -> int:
    """How many verdicts of the job are forced."""
    return int(
        connection.execute(text(f"SELECT count(*) FROM {partition('verdicts', job_id)} WHERE forced")).scalar_one()
    )


def read_verdicts(
    connection: Connection, job_id: int, ords: list[int]
) -> list[tuple[int, int, int, str, float | None]]:
    """`(ord, step, k, verdict, p_yes)` of these solutions, in that order."""
    rows = connection.execute(
        text(
            f"SELECT ord, step, k, verdict, p_yes FROM {partition('verdicts', job_id)}"
            " WHERE ord = ANY(:ords) ORDER BY ord, step, k"
        ),
        {"ords": ords},
    )
    return [(r.ord, r.step, r.k, r.verdict, r.p_yes) for r in rows]
