"""What a user does to jobs: an extension checks its judge, shows its progress, and is taken back by a cancel."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace as change

from rprm_jobs.errors import ConfigError, Conflict, NotFound
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs import control
from rprm_jobs.services.jobs.control import Cancelled
from rprm_jobs.services.jobs.query import job_status, recent_jobs
from rprm_jobs.services.jobs.results import result_rows
from rprm_jobs.services.jobs.submit import MAX_PRIORITY, SubmitRequest, submit
from rprm_jobs.services.training.refusals import check_jobs
from rprm_jobs.store.queue import workers
from rprm_jobs.store.records import JobState, WorkerInfo
from rprm_jobs.store.session import Database
from rprm_jobs.types import Solution
from tests.support.jobs import assert_clean, make_recipe, make_solutions, take_in, write_jsonl
from tests.support.store import claim, finish, judge_on, load, record, run, try_claim, work_off

pytestmark = pytest.mark.integration


def finished(database: Database, recipe: Recipe | None = None, n: int = 4) -> int:
    """A finished job of labelled solutions in shards of two."""
    solutions = [Solution(s.id, s.problem, s.steps, label=-1) for s in make_solutions(n)]
    job = take_in(database, solutions, recipe, shard=2, dedupe=True).job_id
    while (lease := try_claim(database, queue=(recipe or make_recipe()).queue)) is not None:
        work_off(database, lease)
    return job


def outside(name: str) -> Recipe:
    """A recipe of a judge that is a folder somewhere."""
    return change(make_recipe(), judge=name, fingerprint="f" * 64, queue=f"rprm.{name}.ffffffffffff")


def test_an_extension_of_a_deleted_judge_is_refused_before_anything_is_queued(
    context: Context, database: Database
) -> None:
    job = finished(database, outside("my-judge"))
    before = run(database, "SELECT * FROM shards"), run(database, "SELECT * FROM jobs")
    with pytest.raises(NotFound, match=f"the judge of job {job}, my-judge, is not here, and no worker") as caught:
        control.extend(context, job, 4)
    assert "--judge" in caught.value.hint
    with pytest.raises(NotFound, match="unknown judge 'gone'"):
        control.extend(context, job, 4, judge="gone")
    with pytest.raises(Conflict, match=f"scripted is not the judge of job {job}"):
        control.extend(context, job, 4, judge="scripted")
    assert (run(database, "SELECT * FROM shards"), run(database, "SELECT * FROM jobs")) == before


def test_a_judge_that_a_worker_serves_need_not_be_here(context: Context, database: Database) -> None:
    recipe = outside("my-judge")
    job = finished(database, recipe)
    info = WorkerInfo("w", recipe.queue, "my-judge", "e", "h", 1, 1, datetime.now(UTC), 0.0, 0, 0, None)
    with database.transaction() as connection:
        workers.announce(connection, info)
    assert control.extend(context, job, 4).recipe.k == 4


def test_what_an_extension_would_refuse_is_refused_whatever_the_judge(context: Context, database: Database) -> None:
    job = finished(database, outside("my-judge"))
    with pytest.raises(ConfigError, match="critiques a step already"):
        control.extend(context, job, 1)


def test_a_finished_job_survives_the_cancel_of_its_extension(context: Context, database: Database) -> None:
    job = finished(database)
    before = list(result_rows(context, job))
    control.extend(context, job, 6)
    status = job_status(context, job)
    assert status.state is JobState.QUEUED
    lease = claim(database)
    record(database, lease, [judge_on(s, k=6) for s in load(database, lease)])
    finish(database, lease)
    status = job_status(context, job)
    assert (status.outcomes.solutions, status.progress.solutions) == (4, 2)
    assert status.extension is not None
    assert [(listed.id, progress.solutions) for listed, progress in recent_jobs(context, 5)] == [(job, 4)]
    assert control.cancel(context, job) is Cancelled.EXTENSION
    status = job_status(context, job)
    assert (status.state, status.outcomes.solutions, status.extension) == (JobState.DONE, 4, None)
    after = list(result_rows(context, job))
    assert after[2:] == before[2:]
    assert {count for row in after[:2] for count in row["critiques_per_step"]} == {6}
    # It is a job like any other again.
    assert [n for _, n in check_jobs(database, [job], unfinished=False)] == [4]
    assert_clean(context, job)
    with pytest.raises(Conflict, match="is finished"):
        control.cancel(context, job)
    assert control.extend(context, job, 4).recipe.k == 4
    assert control.cancel(context, job) is Cancelled.EXTENSION


def test_the_rates_of_an_extension_are_its_own(context: Context, database: Database) -> None:
    job = finished(database)
    run(database, "UPDATE shards SET claimed_at = now() - interval '1 day'")
    control.extend(context, job, 6)
    assert job_status(context, job).rates is None
    lease = claim(database)
    record(database, lease, [judge_on(s, k=6) for s in load(database, lease)])
    status = job_status(context, job)
    assert status.rates is not None
    assert status.rates.critiques / status.rates.steps == pytest.approx((6 - 2) * 6 / 6)


@pytest.mark.parametrize("priority", [MAX_PRIORITY + 1, -MAX_PRIORITY - 1, 3_000_000_000, 10**30])
def test_a_priority_beyond_the_range_is_refused(context: Context, tmp_path: Path, priority: int) -> None:
    path = write_jsonl(tmp_path / "s.jsonl", make_solutions(1))
    with pytest.raises(ConfigError, match=f"--priority {priority} is not in") as caught:
        submit(context, SubmitRequest((str(path),), make_recipe(), priority=priority))
    assert "smaller" in caught.value.hint


def test_the_largest_priorities_are_taken(context: Context, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "s.jsonl", make_solutions(1))
    for priority in (MAX_PRIORITY, -MAX_PRIORITY):
        assert submit(context, SubmitRequest((str(path),), make_recipe(), priority=priority, new=True)).created
