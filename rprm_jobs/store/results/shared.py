"""The solutions that several jobs judged alike: matched by id, and the same only where problem and steps are too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.store.records import Job
from rprm_jobs.store.schema.partitions import partition
from rprm_jobs.store.session import Database

_BATCH = 1000


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """What one job says of a solution: `status` is None while it has no outcome. `ord` is its place in that job."""

    ord: int
    status: str | None
    rewards: list[float | None] | None
    first_error: int | None
    tokens: int


@dataclass(frozen=True, slots=True)
class SharedSolution:
    """A solution of the first job. `outcomes` has an entry for each job, None where that job has no such id.

    `other_content`: the jobs (by place) that have the id with another problem or other steps; their outcome is None.
    """

    id: str
    label: int | None
    step_labels: list[int | None] | None
    metadata: Mapping[str, Any]
    n_steps: int
    outcomes: tuple[JobOutcome | None, ...]
    other_content: tuple[int, ...]

    @property
    def shared(self) -> bool:
        """Whether every job judged this very solution."""
        return None not in self.outcomes


def read_shared(database: Database, jobs: Sequence[Job]) -> Iterator[list[SharedSolution]]:
    """The first job's solutions in its order of judging, beside the same ones of the other jobs; short transactions."""
    query = text(_query(jobs))
    after = -1
    while True:
        with database.transaction() as connection:
            rows = connection.execute(query, {"after": after, "batch": _BATCH}).mappings().all()
            if not rows:
                return
            tokens = [
                _tokens(connection, job.id, [ord_ for row in rows if (ord_ := row[f"ord_{n}"]) is not None])
                for n, job in enumerate(jobs)
            ]
        yield [_solution(row, tokens) for row in rows]
        after = rows[-1]["ord_0"]


def _query(jobs: Sequence[Job]) -> str:
    columns, joins = list[str](), list[str]()
    for n, job in enumerate(jobs):
        columns += [f"s{n}.ord AS ord_{n}", f"r{n}.status AS status_{n}", f"r{n}.rewards AS rewards_{n}"]
        columns += [f"r{n}.first_error AS first_{n}", f"s{n}.label AS label_{n}", f"s{n}.step_labels AS labels_{n}"]
        columns.append(f"s{n}.problem = s0.problem AND s{n}.steps = s0.steps AS same_{n}")
        if n:
            joins.append(f"LEFT JOIN {partition('solutions', job.id)} AS s{n} ON s{n}.ext_id = s0.ext_id")
        joins.append(f"LEFT JOIN {partition('scores', job.id)} AS r{n} ON r{n}.ord = s{n}.ord")
    return f"""
        SELECT s0.ext_id, s0.metadata, s0.n_steps, {", ".join(columns)}
        FROM {partition("solutions", jobs[0].id)} AS s0 {" ".join(joins)}
        WHERE s0.ord > :after ORDER BY s0.ord LIMIT :batch"""


def _tokens(connection: Connection, job_id: int, ords: Sequence[int]) -> dict[int, int]:
    query = text(
        f"SELECT ord, sum(tokens)::bigint FROM {partition('verdicts', job_id)} WHERE ord = ANY(:o) GROUP BY ord"
    )
    return {ord_: int(tokens) for ord_, tokens in connection.execute(query, {"o": list(ords)})}


def _solution(row: Any, tokens: Sequence[Mapping[int, int]]) -> SharedSolution:
    places = range(len(tokens))
    outcomes = tuple(
        JobOutcome(row[f"ord_{n}"], row[f"status_{n}"], row[f"rewards_{n}"], row[f"first_{n}"],
                   tokens[n].get(row[f"ord_{n}"], 0))
        if row[f"same_{n}"] else None
        for n in places
    )  # fmt: skip
    # Labels may have been added to a later copy of the file.
    label = next((row[f"label_{n}"] for n in places if row[f"same_{n}"] and row[f"label_{n}"] is not None), None)
    labels = next((row[f"labels_{n}"] for n in places if row[f"same_{n}"] and row[f"labels_{n}"] is not None), None)
    other = tuple(n for n in places if row[f"same_{n}"] is False)
    return SharedSolution(row["ext_id"], label, labels, row["metadata"], row["n_steps"], outcomes, other)
