"""Equal submissions are one job, whoever makes them and when; a job that was cancelled answers for nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.jobs.intake import Intake
from rprm_jobs.store.session import Database
from tests.support.intake import NEW, filled, job_count, partitions
from tests.support.jobs import make_recipe, make_solutions, take_in, wait_for
from tests.support.store import run

pytestmark = pytest.mark.integration


def test_an_equal_submission_finds_the_job(database: Database) -> None:
    first = take_in(database, make_solutions(5), dedupe=True)
    again = take_in(database, make_solutions(5), dedupe=True)
    assert (again.job_id, again.created) == (first.job_id, False)
    assert partitions(database) == 4
    assert take_in(database, make_solutions(5), make_recipe(k=3), dedupe=True).created
    assert take_in(database, make_solutions(6), dedupe=True).created
    assert take_in(database, make_solutions(5), dedupe=False).created


def test_two_equal_submissions_at_once_are_one_job(database: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda _: take_in(database, make_solutions(50), dedupe=True), range(4)))
    assert len({t.job_id for t in taken}) == 1
    assert sum(t.created for t in taken) == 1
    assert job_count(database) == 1
    assert partitions(database) == 4


def test_an_equal_submission_waits_for_the_first_and_takes_its_place_when_that_fails(database: Database) -> None:
    with ThreadPoolExecutor(1) as pool:
        first = database.engine.connect()
        assert filled(first, make_solutions(5)).seal(NEW, dedupe=True) is None
        waiting = pool.submit(take_in, database, make_solutions(5), NEW.recipe, dedupe=True)
        try:
            wait_for(lambda: _someone_waits(database), what="the second submission waits")
        finally:
            first.close()
        assert waiting.result(10).created
    assert job_count(database) == 1


def _someone_waits(database: Database) -> bool:
    query = "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    return bool(run(database, query)[0].n)


def test_a_cancelled_job_does_not_answer_for_its_input(database: Database) -> None:
    first = take_in(database, make_solutions(5), dedupe=True)
    with database.transaction() as connection:
        jobs.cancel(connection, first.job_id)
    again = take_in(database, make_solutions(5), dedupe=True)
    assert again.created
    assert again.job_id != first.job_id


class _CancelledInBetween(Intake):
    """The equal job is cancelled after it was met and before it is looked up."""

    other: Database
    first: int

    def _insert_job(self, *args: Any, **kwargs: Any) -> bool:
        inserted = super()._insert_job(*args, **kwargs)
        if not inserted:
            with self.other.transaction() as connection:
                jobs.cancel(connection, self.first)
        return inserted


def test_an_equal_job_that_is_cancelled_at_that_moment_is_not_found(database: Database) -> None:
    first = take_in(database, make_solutions(5), dedupe=True).job_id
    with database.transaction() as connection:
        intake = _CancelledInBetween(connection)
        intake.other, intake.first = database, first
        intake.load((0, i + 1, s) for i, s in enumerate(make_solutions(5)))
        intake.repeated_ids(1)
        assert intake.seal(NEW, dedupe=True) is None
    assert job_count(database) == 2
