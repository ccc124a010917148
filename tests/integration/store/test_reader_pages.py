"""A reader's pages: filters, search, going on, bounded time, and plans that read no more than a window."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.records import Job
from rprm_jobs.store.results import pages
from rprm_jobs.store.results.pages import ReaderPage, Show, read_page
from rprm_jobs.store.session import Database
from rprm_jobs.types import Solution
from tests.support import store
from tests.support.jobs import make_solutions, outcomes, take_in

pytestmark = pytest.mark.integration


def get(database: Database, job_id: int) -> Job:
    with database.transaction() as connection:
        return jobs.get(connection, job_id)


def judged(database: Database, solutions: Sequence[Solution], *, failed: Sequence[int] = (), shards: int = 99) -> Job:
    """A job of shards of eight; `failed` are ords without a reward, and only so many shards are judged."""
    job = take_in(database, solutions).job_id
    for _ in range(shards):
        lease = store.try_claim(database)
        if lease is None:
            break
        loaded = store.load(database, lease)
        store.record(
            database, lease, [store.fail(s, f"step {s.ord}") if s.ord in failed else store.judge(s) for s in loaded]
        )
        store.finish(database, lease)
    return get(database, job)


def all_of(database: Database, job: Job, show: Show = Show.ALL, search: str = "", limit: int = 5) -> list[int]:
    """Every ord that the pages list, one page after the other."""
    ords, after = list[int](), -1
    while True:
        page = read_page(database, job, show=show, search=search, after=after, limit=limit)
        ords += [line.ord for line in page.lines]
        if page.after is None:
            return ords
        assert page.after > after
        after = page.after


def test_filters_show_what_they_say_page_by_page(database: Database) -> None:
    solutions = [Solution(s.id, s.problem, s.steps, label=n % 4 - 1) for n, s in enumerate(make_solutions(50))]
    job = judged(database, solutions, failed=(3, 30, 31), shards=6)
    by_ord = {o.ord: o for o in outcomes(database, job.id).values()}
    ok = [o for o in by_ord.values() if o.status == "ok"]
    assert all_of(database, job) == list(range(50))
    assert all_of(database, job, Show.FAILED) == [3, 30, 31]
    assert all_of(database, job, Show.WAITING) == [48, 49]
    assert all_of(database, job, Show.QUARANTINED) == []
    assert all_of(database, job, Show.WITHOUT_ERROR) == [o.ord for o in ok if o.first_error == -1]
    assert all_of(database, job, Show.WITH_ERROR) == [o.ord for o in ok if (o.first_error or 0) >= 0]
    assert all_of(database, job, Show.DIFFERS) == [o.ord for o in ok if o.first_error != o.label]
    assert 0 < len(all_of(database, job, Show.DIFFERS)) < len(ok)


@pytest.mark.parametrize(
    ("search", "ords"),
    [
        ("s7", [7]),
        ("SUM NUMBER 1", [1, 10, 11]),
        ("100%", [3]),
        (r"\frac{1}", [4]),
        ("under_score", [5]),
        ("line\nbreak", [6]),
        ("é", [6]),
        ("nowhere", []),
        ("%", [3]),
    ],
)
def test_a_search_looks_into_ids_problems_and_steps(database: Database, search: str, ords: list[int]) -> None:
    solutions = make_solutions(12)
    for number, step in ((3, "100% sure"), (4, r"\frac{1}{2}"), (5, "under_score"), (6, "line\nbreak É")):
        solutions[number] = Solution(f"s{number}", "other", (step,))
    solutions[8] = Solution("s8", "another", ("underXscore",))
    assert all_of(database, judged(database, solutions), search=search) == ords


def test_the_solution_with_just_that_id_comes_first_and_once(database: Database) -> None:
    job = judged(database, make_solutions(20))
    page = read_page(database, job, search="s1", limit=50)
    assert [line.id for line in page.lines] == ["s1", *(f"s{n}" for n in range(10, 20))]
    assert read_page(database, job, search="s1", show=Show.FAILED).lines == []


def test_time_that_is_up_ends_a_page_and_the_next_one_goes_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "_WINDOW", 4)
    job = judged(database, make_solutions(20))
    ticks = itertools.count(0.0, 0.6)

    def look(after: int) -> ReaderPage:
        return read_page(database, job, search="number 19", after=after, clock=lambda: next(ticks))

    after, looks = -1, 0
    while not (page := look(after)).lines:
        assert page.after is not None
        after, looks = page.after, looks + 1
    assert ([line.ord for line in page.lines], looks > 1) == ([19], True)
    assert page.after is None


def test_reasons_are_counted_with_their_numbers_left_out(database: Database) -> None:
    job = judged(database, make_solutions(40), failed=(3, 30, 31))
    with database.transaction() as connection:
        (row,) = pages.failure_reasons(connection, job.id)
    assert (row.reason, row.count, row.ord, row.status) == ("step #", 3, 3, "failed")


@pytest.mark.parametrize("show", Show)
def test_no_plan_reads_a_whole_partition(database: Database, show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    job = judged(database, make_solutions(16), failed=(3,))
    for table in ("solutions", "scores"):
        copied = "jsonb_populate_record(s, jsonb_build_object('ord', n, 'ext_id', 'x' || n))"
        store.run(
            database,
            f"INSERT INTO {table}_j{job.id} SELECT ({copied}).* FROM {table}_j{job.id} AS s"
            " CROSS JOIN generate_series(100, 30000) AS n WHERE s.ord = 1",
        )
        store.run(database, f"ANALYZE {table}_j{job.id}")
    plans: list[str] = []
    read = pages._Reader.read

    def explained(self: pages._Reader, connection: object, first: int, last: int, limit: int) -> list[pages.Line]:
        where = f"s.ord BETWEEN {first} AND {last} AND {self._where}"
        query = f"EXPLAIN {self._select} WHERE {where} ORDER BY s.ord LIMIT {limit}"
        plans.extend(row[0] for row in store.run(database, query))
        return read(self, connection, first, last, limit)  # type: ignore[arg-type]

    monkeypatch.setattr(pages._Reader, "read", explained)
    read_page(database, job, show=show, limit=5)
    assert not [line for line in plans if "Seq Scan" in line], "\n".join(plans)
