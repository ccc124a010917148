"""A page of a job's solutions for a reader: by keyset, filtered and searched, in bounded time at any size of the job.

No index serves every filter, so a page is looked for window by window along the primary key, until it is full or the
time is up; the caller then goes on from where it ended. What is rare (failures, what waits) is found by the shards
that count it, without a look at the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.store.records import Job
from rprm_jobs.store.schema.partitions import partition
from rprm_jobs.store.session import Database

# Solutions of the first window; each that was quick is followed by one of twice the size.
_WINDOW, _LARGEST_WINDOW, _QUICK_S = 2_000, 64_000, 0.05
_SHARDS = 500
_PROBLEM_CHARS = 240


class Show(StrEnum):
    """Which solutions a reader wants to see."""

    ALL = "all"
    WITHOUT_ERROR = "without-error"
    WITH_ERROR = "with-error"
    DIFFERS = "differs"
    FAILED = "failed"
    QUARANTINED = "quarantined"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Line:
    """One solution in a list. `problem` is its beginning; `status` is None while there is no outcome."""

    ord: int
    id: str
    problem: str
    n_steps: int
    label: int | None
    status: str | None
    reason: str | None
    rewards: list[float | None] | None
    first_error: int | None


@dataclass(frozen=True, slots=True)
class ReaderPage:
    """`lines` in the order of judging. `after` continues: the last ord that was looked at; None at the end."""

    lines: list[Line]
    after: int | None


_CONDITIONS = {
    Show.ALL: "TRUE",
    Show.WITHOUT_ERROR: "r.status = 'ok' AND r.first_error = -1",
    Show.WITH_ERROR: "r.status = 'ok' AND r.first_error >= 0",
    # Where the judge stopped early its first error is the one that it has.
    Show.DIFFERS: "r.status = 'ok' AND s.label IS NOT NULL AND r.first_error <> s.label",
    Show.FAILED: "r.status = 'failed'",
    Show.QUARANTINED: "r.status = 'quarantined'",
    Show.WAITING: "r.status IS NULL",
}
_COUNTED = {Show.FAILED: "n_failed > 0", Show.QUARANTINED: "n_quarantined > 0", Show.WAITING: "state <> 'done'"}
_SEARCH = """(s.ext_id ILIKE :like OR s.problem ILIKE :like OR EXISTS (
  SELECT 1 FROM jsonb_array_elements_text({steps}) AS step WHERE step ILIKE :like))"""


def read_page(
    database: Database,
    job: Job,
    *,
    show: Show = Show.ALL,
    search: str = "",
    after: int = -1,
    limit: int = 50,
    for_s: float = 1.0,
    clock: Callable[[], float] = time.monotonic,
) -> ReaderPage:
    """The first `limit` solutions beyond ord `after` that fit, or those that were reached in about `for_s` seconds.

    `search` looks for a text in ids, problems and steps, in any case; the solution with just that id comes first.
    """
    reader = _Reader(job, show, search)
    lines: list[Line] = []
    deadline = clock() + for_s
    with database.transaction() as connection:
        if search and after == -1:
            lines += reader.exact(connection)
        for first, last in reader.windows(connection, after, clock):
            rest = limit - len(lines)
            lines += reader.read(connection, first, last, rest)
            if len(lines) >= limit:
                return ReaderPage(lines, lines[-1].ord if len(lines) == limit else None)
            after = last
            if clock() >= deadline and after < job.n_solutions - 1:
                return ReaderPage(lines, after)
    return ReaderPage(lines, None)


class _Reader:
    def __init__(self, job: Job, show: Show, search: str) -> None:
        self._job, self._show, self._search = job, show, search
        conditions = [_CONDITIONS[show]]
        steps, join = "s.steps", ""
        if job.kind.writes:
            steps = "coalesce(w.steps, s.steps)"
            join = f" LEFT JOIN {partition('responses', job.id)} AS w ON w.ord = s.ord"
        self._select = f"""
            SELECT s.ord, s.ext_id, left(s.problem, {_PROBLEM_CHARS}), jsonb_array_length({steps}), s.label, r.status,
                   r.reason, r.rewards, r.first_error
            FROM {partition("solutions", job.id)} AS s
            LEFT JOIN {partition("scores", job.id)} AS r ON r.ord = s.ord{join}"""
        if search:
            conditions += [_SEARCH.format(steps=steps), "s.ext_id <> :search"]
        self._where = " AND ".join(conditions)
        self._values: dict[str, Any] = {"like": f"%{_escaped(search)}%", "search": search} if search else {}

    def exact(self, connection: Connection) -> list[Line]:
        """The solution with the searched id, by its unique index, if it is to be shown."""
        query = text(f"{self._select} WHERE s.ext_id = :search AND {_CONDITIONS[self._show]}")
        return [Line(*row) for row in connection.execute(query, {"search": self._search})]

    def read(self, connection: Connection, first: int, last: int, limit: int) -> list[Line]:
        """At most `limit` of the solutions with first <= ord <= last that fit."""
        where = f"s.ord BETWEEN :first AND :last AND {self._where}"
        query = text(f"{self._select} WHERE {where} ORDER BY s.ord LIMIT :limit")
        values = {"first": first, "last": last, "limit": limit, **self._values}
        return [Line(*row) for row in connection.execute(query, values)]

    def windows(self, connection: Connection, after: int, clock: Callable[[], float]) -> Iterator[tuple[int, int]]:
        """Ranges of ord to look at, both ends included, ascending."""
        counted = _COUNTED.get(self._show)
        # While an extension runs the shards count its outcomes alone.
        if counted is not None and not (self._job.extension is not None and self._job.extension.running):
            yield from _of_shards(connection, self._job.id, after, counted)
            return
        size = _WINDOW
        while after < self._job.n_solutions - 1:
            began, last = clock(), min(after + size, self._job.n_solutions - 1)
            yield after + 1, last
            after = last
            if clock() - began < _QUICK_S:
                size = min(2 * size, _LARGEST_WINDOW)


def _of_shards(connection: Connection, job_id: int, after: int, counted: str) -> Iterator[tuple[int, int]]:
    query = text(
        "SELECT first_ord, last_ord FROM shards WHERE job_id = :job AND last_ord > :after"
        f" AND {counted} ORDER BY first_ord LIMIT :limit"
    )
    while shards := connection.execute(query, {"job": job_id, "after": after, "limit": _SHARDS}).all():
        for shard in shards:
            yield max(shard.first_ord, after + 1), shard.last_ord
        after = shards[-1].last_ord


def _escaped(search: str) -> str:
    return search.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")


@dataclass(frozen=True, slots=True)
class FailureReason:
    """Solutions of a job that failed for the same reason; numbers in it are shown as #. `ord` is one of them."""

    status: str
    reason: str
    count: int
    ord: int


def failure_reasons(connection: Connection, job_id: int, limit: int = 20) -> list[FailureReason]:
    """The most frequent reasons why solutions have no reward. Reads the shards that count failures, and no other."""
    query = text(
        rf"""
        SELECT status, regexp_replace(coalesce(r.reason, ''), '\d[\d,.]*', '#', 'g') AS reason, count(*) AS count,
               min(r.ord) AS ord
        FROM shards AS s JOIN {partition("scores", job_id)} AS r ON r.ord BETWEEN s.first_ord AND s.last_ord
        WHERE s.job_id = :job AND s.n_failed + s.n_quarantined > 0 AND r.status <> 'ok'
        GROUP BY 1, 2 ORDER BY 3 DESC, 2 LIMIT :limit"""
    )
    return [FailureReason(**row) for row in connection.execute(query, {"job": job_id, "limit": limit}).mappings()]


def sampled_outcomes(
    connection: Connection, job: Job, most: int
) -> list[tuple[list[float | None], int | None, int | None]]:
    """`(rewards, first_error, label)` of at most so many judged solutions, evenly spread over the job."""
    step = max(1, job.n_solutions // most)
    query = text(
        f"SELECT r.rewards, r.first_error, s.label FROM {partition('scores', job.id)} AS r"
        f" JOIN {partition('solutions', job.id)} AS s USING (ord) WHERE r.status = 'ok' AND r.ord = ANY(:ords)"
    )
    rows = connection.execute(query, {"ords": list(range(0, job.n_solutions, step))[:most]})
    return [(row.rewards, row.first_error, row.label) for row in rows]
