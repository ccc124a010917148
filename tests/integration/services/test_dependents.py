"""Dependent jobs: one process copies, the others skip; one that dies is replaced; what cannot be created says why."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from rprm_jobs.errors import ConfigError, InputError
from rprm_jobs.services.context import Context, open_context
from rprm_jobs.services.upkeep.dependents import create_dependents, dependent_job_of, score_request
from rprm_jobs.settings import Settings
from rprm_jobs.store.queue import dependents
from rprm_jobs.store.session import Database
from rprm_jobs.types import JobKind
from tests.support import jobs, store
from tests.support.dependents import copies_begun, finish_one_shard, finished_rollouts, request
from tests.support.generating import problems, rollouts

pytestmark = pytest.mark.integration


@contextmanager
def claimed(database: Database, job: int) -> Iterator[None]:
    with database.transaction() as connection:
        assert dependents.claim(connection, job)
        yield


def test_a_job_that_is_not_done_gets_no_dependent_job_yet(context: Context, database: Database) -> None:
    job = jobs.take_in(database, problems(4), rollouts(), shard=2, kind=JobKind.ROLLOUT).job_id
    request(database, job, score_request(jobs.make_recipe(k=2)))
    finish_one_shard(database)
    before = copies_begun(database)
    create_dependents(context)
    assert copies_begun(database) == before
    finish_one_shard(database)
    create_dependents(context)
    assert copies_begun(database) == before + 1


def test_of_several_sweepers_at_once_exactly_one_copies(settings: Settings, database: Database) -> None:
    job = finished_rollouts(database)
    before = copies_begun(database)
    start = threading.Barrier(6)

    def sweeper(_: int) -> list[int]:
        with open_context(settings) as context:
            start.wait(20)
            return create_dependents(context)

    with ThreadPoolExecutor(6) as pool:
        created = [job_id for ids in pool.map(sweeper, range(6)) for job_id in ids]
    assert copies_begun(database) == before + 1
    (dependent,) = store.run(database, "SELECT id, n_solutions FROM jobs WHERE follows = :job", job=job)
    assert created == [dependent.id]
    assert dependent.n_solutions == 20


def test_one_that_comes_late_copies_nothing(context: Context, database: Database) -> None:
    finished_rollouts(database)
    assert len(create_dependents(context)) == 1
    before = copies_begun(database)
    assert create_dependents(context) == []
    assert copies_begun(database) == before


def test_while_one_copies_the_others_go_on(context: Context, database: Database) -> None:
    busy, free = finished_rollouts(database), finished_rollouts(database)
    with claimed(database, busy):
        (created,) = create_dependents(context)
        (row,) = store.run(database, "SELECT follows FROM jobs WHERE id = :id", id=created)
        assert row.follows == free
    assert len(create_dependents(context)) == 1


def test_whoever_waits_for_it_gets_the_job_that_another_creates(context: Context, database: Database) -> None:
    job = finished_rollouts(database)
    created: list[int] = []

    with ThreadPoolExecutor(1) as pool:
        with claimed(database, job):
            polled = threading.Event()

            def sleep(_: float) -> None:
                polled.set()
                polled.wait(0.02)

            waiting = pool.submit(dependent_job_of, context, job, sleep=sleep)
            assert polled.wait(20)
            assert not waiting.done()
        created.append(waiting.result(20))
    (row,) = store.run(database, "SELECT id FROM jobs WHERE follows = :job", job=job)
    assert created == [row.id]


def test_what_was_not_requested_is_no_score_job(context: Context, database: Database) -> None:
    job = finished_rollouts(database)
    store.run(database, "UPDATE jobs SET follow = NULL WHERE id = :job", job=job)
    with pytest.raises(InputError, match="not requested"):
        dependent_job_of(context, job)


def test_a_job_without_a_solution_gets_no_score_job_and_says_why(context: Context, database: Database) -> None:
    job = finished_rollouts(database)
    store.run(database, f"UPDATE scores_j{job} SET status = 'failed', reason = 'x'")
    assert create_dependents(context) == []
    with pytest.raises(InputError, match="there is no solution to judge"):
        dependent_job_of(context, job)


@pytest.mark.parametrize(
    "damage",
    [
        {"recipe": {"version": 99}, "priority": 0, "keep_critiques": "all"},
        {"recipe": "x"},
        {"priority": 0},
        {**score_request(jobs.make_recipe()), "keep_critiques": "most"},
    ],
)
def test_a_request_of_another_version_stops_no_other(
    context: Context, database: Database, damage: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    strange, plain = finished_rollouts(database), finished_rollouts(database)
    request(database, strange, damage)
    (created,) = create_dependents(context)
    (row,) = store.run(database, "SELECT follows FROM jobs WHERE id = :id", id=created)
    assert row.follows == plain
    assert f"the score job of job {strange} cannot be created" in caplog.text
    # It is left for a version that can read it.
    with database.transaction() as connection:
        assert dependents.due(connection) == [strange]
    with pytest.raises(ConfigError):
        dependent_job_of(context, strange)
