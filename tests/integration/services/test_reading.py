"""What a submission recognised, cut and left out is in its answer and in the stored job, and offsets come back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import text

from rprm_jobs.formats import ReadOptions
from rprm_jobs.formats.splitters import make_splitting
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.submit import SubmitRequest, submit
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.results.export import read_outcomes
from tests.support import jobs as made

pytestmark = pytest.mark.integration

OUTPUT = "One.\nTwo."


def test_how_the_input_was_read_is_stored_with_the_job(context: Context, tmp_path: Path) -> None:
    path = tmp_path / "1.jsonl"
    rows = [{"example_id": 7, "prompt": "P?", "completion": output, "reward": 0.0} for output in (OUTPUT, OUTPUT, None)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    reading = ReadOptions(splitting=make_splitting("lines"))
    submission = submit(context, SubmitRequest((str(path),), made.make_recipe(), reading))
    assert submission.solutions == 2
    assert submission.read_as[0].startswith("read as verifiers (results of verifiers' environments) by example_id")
    with context.database.transaction() as connection:
        job = jobs.get(connection, submission.job_id)
    assert job.sources == (str(path),)
    assert job.reading == {
        "formats": {str(path): {"verifiers": {"fields": ["example_id", "prompt", "reward"], "rows": 3}}},
        "splitter": {"name": "lines", "version": 2},
        "left_out": {"rollouts without a completion": 1},
    }
    (batch,) = read_outcomes(context.database, job)
    assert [(outcome.id, outcome.metadata["step_offsets"]) for outcome in batch] == [
        ("7#0", [[0, 4], [5, 9]]),
        ("7#1", [[0, 4], [5, 9]]),
    ]


def test_a_job_of_an_earlier_version_has_its_sources(context: Context) -> None:
    job_id = made.take_in(context.database, made.make_solutions(1), made.make_recipe()).job_id
    with context.database.transaction() as connection:
        connection.execute(text("UPDATE jobs SET sources = '[\"a.jsonl\"]' WHERE id = :job"), {"job": job_id})
        job = jobs.get(connection, job_id)
    assert (job.sources, job.reading) == (("a.jsonl",), {})
