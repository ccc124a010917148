"""Judging a job's solutions again: the same rows without reading a file, in the order and with the labels they had."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rprm_jobs.errors import Conflict, NotFound
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.again import request_from_job
from rprm_jobs.services.jobs.results import result_rows
from rprm_jobs.services.jobs.submit import SubmitRequest, submit
from rprm_jobs.store.jobs import jobs as stored_jobs
from rprm_jobs.store.schema.partitions import partition
from rprm_jobs.store.session import Database
from rprm_jobs.types import Finish, JobKind, Response, Solution
from tests.support import jobs, store
from tests.support.generating import problems, rollouts
from workers.tasks.rollout import written

pytestmark = pytest.mark.integration

_COLUMNS = "ord, ext_id, problem, steps, n_steps, label, step_labels, metadata, source, line, judge_steps"


def rows_of(database: Database, job: int) -> list[tuple[object, ...]]:
    query = f"SELECT {_COLUMNS} FROM {partition('solutions', job)} ORDER BY ord"
    return [tuple(row) for row in store.run(database, query)]


def scattered(folder: Path, n: int = 30) -> str:
    """Solutions whose problems return, with labels, metadata and text that is hard to store."""
    rows = [
        {
            "id": f"s{i}",
            "problem": f"p{i % 7}",
            "steps": [f"a{i}", "line\nline \u2028 \U0001f600"],
            "label": i % 3 - 1,
            "of": i,
        }
        for i in range(n)
    ]
    path = folder / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_the_same_solutions_are_judged_again(context: Context, database: Database, tmp_path: Path) -> None:
    file = scattered(tmp_path)
    first = submit(context, SubmitRequest((file,), jobs.make_recipe(k=2)))
    Path(file).unlink()
    again = submit(context, request_from_job(context, first.job_id, jobs.make_recipe(k=2, seed=1)))
    assert again.created
    assert (again.solutions, again.steps) == (first.solutions, first.steps)
    assert rows_of(database, again.job_id) == rows_of(database, first.job_id)
    with database.transaction() as connection:
        was, now = (stored_jobs.get(connection, job) for job in (first.job_id, again.job_id))
    assert (was.grouped_by_problem, now.grouped_by_problem) == (True, True)
    assert (now.sources, now.reading) == (was.sources, was.reading)
    store.work_off_all(database)
    assert [row["id"] for row in result_rows(context, again.job_id)] == [f"s{i}" for i in range(30)]
    jobs.assert_clean(context, first.job_id, again.job_id)


def test_the_file_and_the_job_are_one_input(context: Context, tmp_path: Path) -> None:
    file = scattered(tmp_path)
    first = submit(context, SubmitRequest((file,), jobs.make_recipe(k=2)))
    other = jobs.make_recipe(k=3)
    again = submit(context, request_from_job(context, first.job_id, other))
    assert submit(context, SubmitRequest((file,), other)).job_id == again.job_id
    assert submit(context, request_from_job(context, first.job_id, jobs.make_recipe(k=2))).job_id == first.job_id
    new = submit(context, request_from_job(context, first.job_id, jobs.make_recipe(k=2), new=True))
    assert new.job_id not in (first.job_id, again.job_id)


def test_more_solutions_than_a_batch(context: Context, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    first = jobs.take_in(database, jobs.make_solutions(25)).job_id
    monkeypatch.setattr("rprm_jobs.store.jobs.copying._BATCH", 10)
    again = submit(context, request_from_job(context, first, jobs.make_recipe(k=5)))
    assert rows_of(database, again.job_id) == rows_of(database, first)


def test_the_steps_of_a_sample_job_stay_the_ones_to_judge(context: Context, database: Database) -> None:
    solutions = [Solution("a", "p", ("1", "2", "3"), judge_steps=(0, 2)), Solution("b", "p", ("1",), judge_steps=(0,))]
    first = jobs.take_in(database, solutions, kind=JobKind.SAMPLE).job_id
    again = submit(context, request_from_job(context, first, jobs.make_recipe(k=5)))
    assert again.steps == 3
    assert rows_of(database, again.job_id) == rows_of(database, first)


def test_written_solutions_are_judged_when_all_are_there(context: Context, database: Database) -> None:
    recipe = rollouts()
    job = jobs.take_in(database, problems(4), recipe, shard=4, kind=JobKind.ROLLOUT).job_id
    with pytest.raises(Conflict, match="still writing"):
        request_from_job(context, job, jobs.make_recipe())
    lease = store.try_claim(database, queue=recipe.queue)
    assert lease is not None
    loaded = store.load(database, lease)
    answers = [written(Response(s.ord, ("one", "two"), Finish.STOP, 4, "4")) for s in loaded[1:]]
    store.record(database, lease, [store.fail(loaded[0]), *answers])
    store.finish(database, lease)
    again = submit(context, request_from_job(context, job, jobs.make_recipe()))
    assert (again.solutions, again.steps) == (3, 6)
    assert [row[1] for row in rows_of(database, again.job_id)] == [s.id for s in loaded[1:]]


def test_an_unknown_job_is_named(context: Context) -> None:
    with pytest.raises(NotFound, match="no job 99"):
        request_from_job(context, 99, jobs.make_recipe())
