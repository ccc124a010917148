"""Scoring families as jobs: each from a submission to its results, by the real attempt at a shard, without a model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.errors import ConfigError, Conflict, InputError
from rprm_jobs.evaluation.processbench_report import evaluate
from rprm_jobs.judge.families.scoring import ScoreFamily
from rprm_jobs.judge.families.table import ROWS
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.services.context import Context
from rprm_jobs.services.evaluation.processbench import read_job
from rprm_jobs.services.jobs.control import check_extend
from rprm_jobs.services.jobs.query import job_status
from rprm_jobs.services.jobs.results import result_rows
from rprm_jobs.services.jobs.sample import SampleRequest, sample
from rprm_jobs.services.jobs.submit import SubmitRequest, make_recipe, submit
from rprm_jobs.services.upkeep.audit import audit
from rprm_jobs.store.records import JobState
from tests.support import store
from tests.support.worker_parts import WorkerParts
from workers.attempt import Attempt
from workers.engines import create_engine
from workers.leases import HeldLease

pytestmark = pytest.mark.integration
SCORING = [row.family.name for row in ROWS if isinstance(row.family, ScoreFamily)]
ROWS_IN = [
    {"id": "gsm8k-0", "problem": "1 + 1?", "steps": ["1 + 1 = 2", "so 2"], "label": -1},
    {"id": "gsm8k-1", "problem": "2 + 2?", "steps": ["2 + 2 = 5 [[scripted:no]]", "so 5"], "label": 0},
    {"id": "gsm8k-2", "problem": "3?", "steps": ["3 [[scripted:yes]]"], "label": -1},
    {"id": "gsm8k-3", "problem": "4?", "steps": ["4 [[scripted:refuse]]"], "label": -1},
]


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "solutions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS_IN))
    return str(path)


@pytest.fixture
def finished(context: Context, file: str) -> Iterator[Any]:
    """Submits for a family and works its shards off; returns the job."""
    started: list[WorkerParts] = []

    def finish(family: str) -> int:
        judge = resolve_judge("scripted", family)
        job = submit(context, SubmitRequest((file,), make_recipe(judge, k=None))).job_id
        parts = WorkerParts(context.database, create_engine("scripted", judge, {}))
        started.append(parts)
        while (lease := store.try_claim(context.database, "w1", queue=judge.queue)) is not None:
            Attempt(parts.shared, HeldLease(lease)).run()
        return job

    yield finish
    for parts in started:
        parts.close()


@pytest.mark.parametrize("name", SCORING)
def test_a_job_of_each_family_from_submission_to_results(context: Context, finished: Any, name: str) -> None:
    job = finished(name)
    family = resolve_judge("scripted", name).family
    assert isinstance(family, ScoreFamily)
    assert job_status(context, job).state is JobState.DONE
    rows = {row["id"]: row for row in result_rows(context, job, critiques=True)}
    assert [rows[f"gsm8k-{i}"]["status"] for i in range(4)] == ["ok", "ok", "ok", "failed"]
    assert "refuse" in rows["gsm8k-3"]["reason"]
    wrong, right = rows["gsm8k-1"]["rewards"], rows["gsm8k-2"]["rewards"]
    if name == "eurus-prm":
        # A log-ratio is scaled down so far that its rewards stand about the middle; here they are drawn about it.
        assert right[0] > 0.9
    assert wrong[0] < family.threshold < right[0]
    assert (rows["gsm8k-1"]["first_error"], rows["gsm8k-2"]["first_error"]) == (0, -1)
    assert rows["gsm8k-1"]["critiques_per_step"] == [1, 1]
    assert rows["gsm8k-1"]["reward_source"] == "scores"
    assert rows["gsm8k-1"]["critiques"][0][0]["verdict"] == "no"
    for row in rows.values():
        for reward in row["rewards"]:
            assert reward is None or family.lowest is None or family.lowest <= reward <= (family.highest or 1.0)
    assert [found.findings for found in audit(context, [job])] == [()]
    report = evaluate(*_answers(context, job), allow_incomplete=True)
    assert report.subsets["gsm8k"].error_acc == 100.0


def _answers(context: Context, job: int) -> tuple[Any, Any]:
    answers = read_job(context, job, None)
    return answers.items, answers.answers


def test_what_has_no_effect_on_a_score_is_refused(context: Context, finished: Any, file: str) -> None:
    judge = resolve_judge("scripted", "qwen-prm")
    for options, words in (
        ({"k": 4}, "every pass gives the same"),
        ({"k": None, "stopping": {"kind": "adaptive"}}, "no critiques to save"),
        ({"k": None, "until_first_error": True}, "scores all steps in one pass"),
        ({"k": None, "temperature": 0.5}, "samples nothing"),
        ({"k": None, "threshold": 1.5}, "is not in"),
        ({"k": None, "template": judge.template.with_system("Be strict.")}, "lays out its text itself"),
    ):
        with pytest.raises(ConfigError, match=words) as caught:
            make_recipe(judge, **options)  # type: ignore[arg-type]
        assert caught.value.hint
    job = finished("qwen-prm")
    with pytest.raises(Conflict, match="scores a step once"):
        check_extend(context, job, 8)
    with pytest.raises(ConfigError, match="writes no critiques to train on"):
        sample(context, SampleRequest((file,), make_recipe(judge, k=None)))


def test_thresholds_are_in_the_unit_of_the_rewards(context: Context, finished: Any) -> None:
    raw = finished("math-minos")
    with pytest.raises(ConfigError, match="is not in"):
        read_job(context, finished("pure-prm"), None, threshold=-1.5)
    assert read_job(context, raw, None, threshold=-100.0).answers["gsm8k-1"].prediction == -1
    assert read_job(context, raw, None, threshold=100.0).answers["gsm8k-2"].prediction == 0


def test_a_training_set_needs_critiques(context: Context, finished: Any) -> None:
    from rprm_jobs.services.training.refusals import check_jobs

    with pytest.raises(InputError, match="writes no critiques"):
        check_jobs(context.database, [finished("qwen-prm")], unfinished=False)


def test_a_shard_of_passes_holds_more_solutions_than_one_of_critiques(context: Context, tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    path.write_text("".join(json.dumps({"id": f"s{i}", "problem": f"{i}?", "steps": ["x"]}) + "\n" for i in range(800)))
    for name, shards in (("qwen-prm", 800 // 50), ("rprm", 800 // 32)):
        recipe = make_recipe(resolve_judge("scripted", name), k=None)
        job = submit(context, SubmitRequest((str(path),), recipe)).job_id
        assert job_status(context, job).progress.shards == shards
