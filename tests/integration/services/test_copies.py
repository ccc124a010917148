"""The copy of a job's solutions into a score job: killed anywhere it goes on, and holds what was written in the end."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from rprm_jobs.services.context import Context
from rprm_jobs.services.upkeep.dependents import create_dependents, score_request
from rprm_jobs.store.jobs import dependent_copy, retries
from rprm_jobs.store.jobs import jobs as jobs_store
from rprm_jobs.store.jobs.dependent_copy import Progress
from rprm_jobs.store.queue import dependents
from rprm_jobs.store.session import Database
from tests.support import jobs, store
from tests.support.dependents import copies_begun, finish_one_shard, finished_rollouts

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("passage", range(1, 6))
def test_a_copy_goes_on_where_its_claimer_was_killed(
    context: Context,
    database: Database,
    servers_env: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    passage: int,
) -> None:
    """Killed in a batch of rows, before either index, and before the job becomes visible."""
    job = finished_rollouts(database)
    code = (
        "from rprm_jobs.services.context import open_context; from rprm_jobs.settings import load_settings;"
        "from rprm_jobs.store.jobs import dependent_copy;"
        "from rprm_jobs.services.upkeep.dependents import create_dependents\n"
        "dependent_copy.ORDS = 10\n"
        "with open_context(load_settings()) as context: create_dependents(context)"
    )
    env = {**os.environ, **servers_env, "RPRM_CRASH_AT": f"copy.before-commit:{passage}"}
    assert subprocess.run([sys.executable, "-c", code], env=env, timeout=60, check=False).returncode == 137
    assert store.run(database, "SELECT 1 FROM jobs WHERE follows = :job", job=job) == []
    before = copies_begun(database)
    parts: list[Progress] = []

    def advance(*args: Any) -> Progress:
        parts.append(copying_advance(*args))
        return parts[-1]

    copying_advance = dependent_copy.advance
    monkeypatch.setattr(dependent_copy, "ORDS", 10)
    monkeypatch.setattr(dependent_copy, "advance", advance)
    jobs.wait_for(lambda: create_dependents(context), what="Postgres notices that the claimer is gone")
    assert copies_begun(database) == before
    assert len([part for part in parts if part is not Progress.ELSEWHERE]) == 6 - passage
    assert_is_whole(context, database, job)


def test_a_solution_that_fails_is_not_copied(context: Context, database: Database) -> None:
    job = finished_rollouts(database)
    failed = "status = 'failed', reason = 'x', first_error = NULL"
    store.run(database, f"UPDATE scores_j{job} SET {failed} WHERE ord IN (0, 7)")
    # As far as a search came that failed.
    store.run(database, f"UPDATE responses_j{job} SET finish = NULL WHERE ord IN (0, 7)")
    store.run(database, "UPDATE shards SET n_ok = n_ok - 2, n_failed = 2 WHERE job_id = :job", job=job)
    (created,) = create_dependents(context)
    copied = store.run(database, f"SELECT ext_id FROM solutions_j{created} ORDER BY ord")
    assert [row.ext_id for row in copied] == [f"p{i}" for i in range(20) if i not in (0, 7)]
    assert_is_whole(context, database, job)


def assert_is_whole(context: Context, database: Database, job: int) -> None:
    (dependent,) = store.run(database, "SELECT id, n_solutions, n_steps FROM jobs WHERE follows = :job", job=job)
    rollout_rows = store.run(
        database,
        f"SELECT s.ext_id, s.problem, w.steps FROM solutions_j{job} AS s JOIN responses_j{job} AS w USING (ord)"
        f" JOIN scores_j{job} AS r USING (ord) WHERE r.status = 'ok' ORDER BY ord",
    )
    copied = store.run(database, f"SELECT ord, ext_id, problem, steps FROM solutions_j{dependent.id} ORDER BY ord")
    assert [tuple(row)[1:] for row in copied] == [tuple(row) for row in rollout_rows]
    assert [row.ord for row in copied] == list(range(len(copied)))
    assert (dependent.n_solutions, dependent.n_steps) == (len(copied), sum(len(row.steps) for row in copied))
    jobs.assert_clean(context, job, dependent.id)
    (source,) = store.run(database, "SELECT follow FROM jobs WHERE id = :job", job=job)
    assert "copying" not in source.follow


@pytest.fixture
def half_copied(context: Context, database: Database, monkeypatch: pytest.MonkeyPatch) -> int:
    """A finished rollout job of which the first ten solutions are copied."""
    job = finished_rollouts(database)
    monkeypatch.setattr(dependent_copy, "ORDS", 10)
    copying_advance, calls = dependent_copy.advance, 0

    def advance(*args: Any) -> Progress:
        nonlocal calls
        calls += 1
        return copying_advance(*args) if calls < 3 else Progress.ELSEWHERE

    with monkeypatch.context() as patch:
        patch.setattr(dependent_copy, "advance", advance)
        assert create_dependents(context) == []
    (row,) = store.run(database, "SELECT follow FROM jobs WHERE id = :job", job=job)
    assert row.follow["copying"]["after"] == 9
    return job


def tables_of(database: Database, job: int) -> list[str]:
    return [row.relname for row in store.run(database, f"SELECT relname FROM pg_class WHERE relname ~ '_j{job}$'")]


def test_a_solution_that_is_written_again_meanwhile_is_copied_as_it_is_in_the_end(
    context: Context, database: Database, half_copied: int
) -> None:
    store.run(database, f"UPDATE scores_j{half_copied} SET status = 'failed', reason = 'x' WHERE ord = 3")
    store.run(database, "UPDATE shards SET n_ok = n_ok - 1, n_failed = 1 WHERE job_id = :job", job=half_copied)
    first = copies_begun(database)
    assert retries.retry_failed(database, half_copied, quarantined=False) == 1
    assert create_dependents(context) == []
    finish_one_shard(database)
    assert len(create_dependents(context)) == 1
    assert_is_whole(context, database, half_copied)
    assert tables_of(database, first) == []


def test_a_copy_of_another_schema_is_begun_anew(context: Context, database: Database, half_copied: int) -> None:
    first = copies_begun(database)
    change = "UPDATE jobs SET follow = jsonb_set(follow, '{copying,revision}', '\"0001\"') WHERE id = :job"
    store.run(database, change, job=half_copied)
    assert create_dependents(context) == [first + 1]
    assert_is_whole(context, database, half_copied)
    assert tables_of(database, first) == []


def test_a_deleted_job_leaves_no_half_of_a_copy(database: Database, half_copied: int) -> None:
    copy = copies_begun(database)
    assert tables_of(database, copy)
    with database.transaction() as connection:
        jobs_store.delete(connection, half_copied)
    assert tables_of(database, copy) == []


def test_another_request_drops_the_half_of_a_copy(context: Context, database: Database, half_copied: int) -> None:
    copy = copies_begun(database)
    with database.transaction() as connection:
        dependents.request(connection, half_copied, score_request(jobs.make_recipe(k=2)))
    assert tables_of(database, copy)
    with database.transaction() as connection:
        dependents.request(connection, half_copied, score_request(jobs.make_recipe(k=3)))
    assert tables_of(database, copy) == []
    assert create_dependents(context) == [copy + 1]
    assert_is_whole(context, database, half_copied)
