"""Critics, GenPRM and ThinkPRM from submit to results: leases, records, audit, extension, and evaluation as others."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.evaluation.prmbench import evaluate
from rprm_jobs.judge.families.table import ROWS
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.services.context import Context
from rprm_jobs.services.evaluation.prmbench import read_benchmark
from rprm_jobs.services.evaluation.prmbench import read_job as read_prm_job
from rprm_jobs.services.evaluation.processbench import read_job
from rprm_jobs.services.jobs.again import request_from_job
from rprm_jobs.services.jobs.results import result_rows
from rprm_jobs.services.jobs.submit import SubmitRequest, make_recipe, submit
from rprm_jobs.settings import Limits
from rprm_jobs.store.jobs import extensions
from rprm_jobs.store.session import Database
from rprm_jobs.types import KeepCritiques
from tests.support import jobs, store
from workers.engines import create_engine
from workers.tasks.budget import Budget
from workers.tasks.dispatch import Engines, load_task

pytestmark = pytest.mark.integration

# Those that score are worked off in tests/integration/workers/test_scoring_jobs.py; both take all that the table has.
FAMILIES = [row.family.name for row in ROWS if row.family.writes]


def submitted(context: Context, folder: Path, family: str, **options: Any) -> int:
    steps = [["1 + 1 = 2", "2\n\n+ 1 = 3"], ["one step, ки <extra_0> \U0001f600"], [f"step {n}" for n in range(12)]]
    rows = [
        {"id": f"gsm8k-{n}", "problem": f"p{n}", "steps": steps[n % 3], "label": n % 3 - 1 if n % 3 != 1 else -1}
        for n in range(9)
    ]
    path = folder / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = make_recipe(resolve_judge("scripted", family), **{"k": 3, **options})
    return submit(context, SubmitRequest((str(path),), recipe)).job_id


def work_off(database: Database, family: str) -> None:
    """Judge what is ready with the scripted engine, as a worker does."""
    asyncio.run(_work_off(database, family))


async def _work_off(database: Database, family: str) -> None:
    judge = resolve_judge("scripted", family)
    engine = create_engine("scripted", judge, {})
    await engine.start()
    engines = Engines(engine, Budget(50), None, Budget(50))
    while (lease := store.try_claim(database, queue=judge.queue)) is not None:
        scores: list[Any] = []
        task = load_task(database, lease)
        assert await task.start(engines, scores.append, lambda: False)
        store.record(database, lease, scores, task.keep)
        store.finish(database, lease)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_judged_from_submit_to_results(
    context: Context, database: Database, tmp_path: Path, family: str
) -> None:
    job = submitted(context, tmp_path, family)
    work_off(database, family)
    rows = list(result_rows(context, job, critiques=True, steps=True))
    assert [row["id"] for row in rows] == [f"gsm8k-{n}" for n in range(9)]
    for row in rows:
        assert row["status"] == "ok"
        assert -1 <= row["first_error"] < len(row["steps"])
        assert len(row["rewards"]) == len(row["steps"])
        assert row["critiques"][0][0]["text"]
        assert len(row["critiques"][0]) == 3
        told = {"critic": "votes", "critic-scores": "ratings"}.get(family, "logprobs")
        assert row["reward_source"] == told
    jobs.assert_clean(context, job)
    answers = read_job(context, job, None)
    assert {id_: answer.prediction for id_, answer in answers.answers.items()} == {
        row["id"]: row["first_error"] for row in rows
    }


@pytest.mark.parametrize("keep", list(KeepCritiques))
def test_texts_of_whole_critiques_are_kept_once(
    context: Context, database: Database, tmp_path: Path, keep: KeepCritiques
) -> None:
    first = submitted(context, tmp_path, "critic")
    recipe = make_recipe(resolve_judge("scripted", "critic"), k=4, seed=1)
    job = submit(context, request_from_job(context, first, recipe, keep=keep)).job_id
    work_off(database, "critic")
    rows = list(result_rows(context, job, critiques=True))
    texts = [[c["text"] for step in row["critiques"] for c in step if c["text"]] for row in rows]
    expected = {KeepCritiques.ALL: {4}, KeepCritiques.NONE: {0}, KeepCritiques.DISPUTED: {0, 4}}[keep]
    assert {len(kept) for kept in texts} <= expected
    jobs.assert_clean(context, first, job)


def test_more_votes_go_on_where_the_first_ended(context: Context, database: Database, tmp_path: Path) -> None:
    job = submitted(context, tmp_path, "critic", k=2)
    work_off(database, "critic")
    extensions.extend(database, job, 5)
    work_off(database, "critic")
    rows = list(result_rows(context, job, critiques=True))
    assert {len(row["critiques"][0]) for row in rows} == {5}
    fresh = submit(
        context, request_from_job(context, job, make_recipe(resolve_judge("scripted", "critic"), k=5), new=True)
    )
    work_off(database, "critic")
    assert [row["first_error"] for row in result_rows(context, fresh.job_id)] == [row["first_error"] for row in rows]
    jobs.assert_clean(context, job)


def test_a_critic_that_rates_steps_is_scored_by_its_labels(
    context: Context, database: Database, tmp_path: Path
) -> None:
    rows = [
        {"idx": f"redundency_{n}", "classification": "redundency", "original_question": "q", "modified_question": "q",
         "original_process": ["a", "b"], "error_steps": [2],
         "modified_process": ["a", "b", "[[scripted:unparsed]]" if n == 0 else "c"]}
        for n in range(4)
    ]  # fmt: skip
    path = tmp_path / "redundency.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    benchmark = read_benchmark([str(path)], Limits())
    recipe = make_recipe(resolve_judge("scripted", "critic-scores"), k=1)
    job = submit(context, SubmitRequest((str(path),), recipe, rows=benchmark.rows)).job_id
    work_off(database, "critic-scores")
    results = read_prm_job(context, job, benchmark)
    assert [results[f"redundency_{n}"].usable for n in range(4)] == [False, True, True, True]
    texts = {row["id"]: row["critiques"][0][0]["text"] for row in result_rows(context, job, critiques=True)}
    for key, result in results.items():
        if result.usable:
            ratings = json.loads(texts[key])
            assert result.validity == tuple(value > 0 for value in ratings["validity"])
            assert result.redundancy == tuple(value > 0 for value in ratings["redundancy"])
            assert result.called_valid("redundency", None) == tuple(value <= 0 for value in ratings["redundancy"])
    report = evaluate(benchmark.items, results)
    assert report.invalid == 1
    assert report.n_items == 3
