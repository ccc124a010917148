"""Jobs are listed by state, kind, judge and name; those of judges in folders lead back to the weights."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rprm_jobs.cli.shared.progress import status_lines, worker_command
from rprm_jobs.errors import ConfigError, InputError
from rprm_jobs.judge.places import model_paths, unique_name
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.services.context import Context
from rprm_jobs.services.evaluation.report import read_report
from rprm_jobs.services.jobs.query import JobFilter, busy_workers, job_status, recent_jobs
from rprm_jobs.services.jobs.submit import SubmitRequest, make_recipe, submit
from rprm_jobs.store.queue import workers
from rprm_jobs.store.records import JobState
from rprm_jobs.types import JobKind
from tests.support import jobs as made
from tests.support.store import claim, run
from tests.unit.launch.test_logs import worker

pytestmark = pytest.mark.integration


def ids(context: Context, **wanted: object) -> list[int]:
    return [job.id for job, _ in recent_jobs(context, 2, JobFilter(**wanted))]  # type: ignore[arg-type]


def test_filters_go_on_until_there_are_enough(context: Context, tmp_path: Path) -> None:
    path = made.write_jsonl(tmp_path / "x.jsonl", made.make_solutions(1))
    named = SubmitRequest((str(path),), made.make_recipe(), name="First baseline")
    first = submit(context, named).job_id
    others = [made.take_in(context.database, made.make_solutions(1), made.make_recipe(seed=n)).job_id for n in range(5)]
    run(context.database, "UPDATE jobs SET cancelled_at = now() WHERE id = ANY(:ids)", ids=others[1:])
    assert ids(context, name="BASE") == [first]
    assert ids(context, states=(JobState.QUEUED,)) == [others[0], first]
    assert ids(context, states=(JobState.CANCELLED,)) == others[:-3:-1]
    assert ids(context, kinds=(JobKind.ROLLOUT,)) == ids(context, judge="gone") == []
    assert ids(context, judge="SCRIPT") == others[:-3:-1]
    assert "'First baseline'" in status_lines(job_status(context, first))[0]
    for bad in ("", " ", "a\nb", "x" * 101):
        with pytest.raises(ConfigError, match="is no name for a job"):
            submit(context, SubmitRequest((str(path),), made.make_recipe(), name=bad))


def test_two_judges_of_one_last_name_are_told_apart_and_lead_back(context: Context, tmp_path: Path) -> None:
    tiny = Path(resolve_judge("tiny").location)
    path = made.write_jsonl(tmp_path / "x.jsonl", made.make_solutions(1))
    commands, names = [], []
    for place in ("a b", "c"):
        folder = tmp_path / place / "first"
        shutil.copytree(tiny, folder)
        (folder / "generation_config.json").write_text(f'{{"_from": "{place}"}}')
        judge = resolve_judge(str(folder))
        request = SubmitRequest((str(path),), make_recipe(judge, k=2), model_paths=model_paths(judge=judge))
        job = job_status(context, submit(context, request).job_id).job
        assert job.model_paths == {"judge": str(folder)}
        commands.append(worker_command(job))
        names.append(unique_name(job.judge, job.recipe.fingerprint, job.model_paths))
    assert commands == [
        f"rprm-jobs worker --judge '{tmp_path}/a b/first'",
        f"rprm-jobs worker --judge {tmp_path}/c/first",
    ]
    assert len(set(names)) == 2
    assert all(name.startswith("first@") for name in names)
    assert model_paths(judge=resolve_judge("tiny")) == model_paths(judge=resolve_judge("scripted")) == {}


def test_a_worker_is_listed_with_what_it_does_and_its_log(context: Context) -> None:
    job = made.take_in(context.database, made.make_solutions(4), shard=2).job_id
    with context.database.transaction() as connection:
        workers.announce(connection, worker("w1", "/logs/worker-1.log"))
        workers.announce(connection, worker("w2", None))
    claim(context.database, "w1")
    claim(context.database, "w1")
    listed = {busy.worker.id: busy for busy in busy_workers(context)}
    assert (listed["w1"].shards_by_job, listed["w1"].worker.log) == ({job: 2}, "/logs/worker-1.log")
    assert (listed["w2"].shards_by_job, listed["w2"].worker.log) == ({}, None)


def test_the_report_of_a_job_that_wrote_names_what_can_be_read(context: Context) -> None:
    rollout = made.take_in(context.database, made.make_solutions(1), kind=JobKind.ROLLOUT).job_id
    search = made.take_in(context.database, made.make_solutions(1), kind=JobKind.SEARCH).job_id
    for job, hint in {rollout: f"rprm-jobs results {rollout} -o", search: f"rprm-jobs results {search} --crit"}.items():
        with pytest.raises(InputError, match="a report is about judging") as refused:
            read_report(context, job, sample=1, shown=1)
        assert hint in refused.value.hint
