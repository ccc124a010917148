"""A report shows how its judge was trained: by the judge's whole folder, and what stood there when it judged."""

from __future__ import annotations

import json

import pytest

from rprm_jobs.services.context import Context
from rprm_jobs.services.evaluation.report import read_report
from rprm_jobs.store.session import Database
from rprm_jobs.store.training import runs
from rprm_jobs.store.training.runs import NewRun, Phase
from tests.support import store
from tests.support.jobs import make_solutions, take_in
from tests.support.training import judge_ready

pytestmark = pytest.mark.integration


def trained(database: Database, folder: str) -> int:
    """A finished run that wrote its judge to the folder."""
    recipe = {"batch": 1, "accumulation": 128, "learning_rate": 5e-7}
    run = NewRun(Phase.DPO, "tiny", "0" * 64, "first", "1" * 64, recipe, 30, 90, 10, "here", folder)
    with database.transaction() as connection:
        run_id = runs.start(connection, run, resumed=False)
        runs.finish(connection, run_id, None)
    return run_id


def judged_by(database: Database, folder: str) -> int:
    """A job that the judge in this folder has judged."""
    job = take_in(database, make_solutions(2)).job_id
    paths = json.dumps({"judge": folder})
    store.run(database, "UPDATE jobs SET model_paths = CAST(:paths AS jsonb) WHERE id = :job", paths=paths, job=job)
    judge_ready(database)
    return job


def run_of(context: Context, job: int) -> int | None:
    """The run that the job's report shows."""
    shown = read_report(context, job, sample=2, shown=0).trained
    return None if shown is None else shown[0].id


def test_folders_with_the_same_last_part_are_two_judges(context: Context, database: Database) -> None:
    first, _ = trained(database, "/mine/judge"), trained(database, "/yours/judge")
    job = judged_by(database, "/mine/judge")
    assert run_of(context, job) == first
    assert run_of(context, judged_by(database, "/judge")) is None


def test_what_was_trained_there_after_the_job_is_another_judge(context: Context, database: Database) -> None:
    job = judged_by(database, "/mine/judge")
    trained(database, "/mine/judge")
    assert run_of(context, job) is None
