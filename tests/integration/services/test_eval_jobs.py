"""Evaluating jobs: answers meet the benchmark by id, and stopping rules sample as many critiques as they promise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.errors import ConfigError, InputError, NotFound
from rprm_jobs.evaluation.prmbench_results import PrmbenchResult
from rprm_jobs.evaluation.processbench_report import ProcessBenchItem, evaluate
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.services.context import Context
from rprm_jobs.services.evaluation.best_of_n import read_problems, with_rewards_of
from rprm_jobs.services.evaluation.prmbench import read_benchmark
from rprm_jobs.services.evaluation.prmbench import read_job as read_prm_job
from rprm_jobs.services.evaluation.processbench import read_items, read_job
from rprm_jobs.services.jobs.submit import SubmitRequest, make_recipe, submit
from rprm_jobs.settings import Limits
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.session import Database
from rprm_jobs.types import Solution
from tests.support.jobs import JUDGE, outcomes, take_in
from tests.support.store import claim, fail, judge, load, record, try_claim, work_off_all
from workers.tasks.score import outcome

pytestmark = pytest.mark.integration

LIMITS = Limits()


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def labelled(n: int) -> list[Solution]:
    return [Solution(f"gsm8k-{i}", f"p{i}", ("a", "b"), i % 3 - 1) for i in range(n)]


def rows_of(solutions: list[Solution]) -> list[dict[str, Any]]:
    return [{"id": s.id, "problem": s.problem, "steps": list(s.steps), "label": s.label} for s in solutions]


def test_a_job_with_labels_needs_no_file(context: Context, database: Database) -> None:
    job = take_in(database, labelled(9), shard=3).job_id
    work_off_all(database)
    answers = read_job(context, job, None)
    found = outcomes(database, job)
    assert {id_: answer.prediction for id_, answer in answers.answers.items()} == {
        id_: one.first_error for id_, one in found.items()
    }
    assert [item.label for item in answers.items] == [i % 3 - 1 for i in range(9)]
    assert evaluate(answers.items, answers.answers).missing == 0
    lower = read_job(context, job, None, threshold=0.0)
    assert {answer.prediction for answer in lower.answers.values()} == {-1}


def test_what_failed_or_waits_is_counted_by_its_reason(context: Context, database: Database) -> None:
    job = take_in(database, labelled(6), shard=3).job_id
    lease = claim(database)
    first, second, _ = load(database, lease)
    record(database, lease, [judge(first), fail(second, "too long")])
    answers = read_job(context, job, {s.id: ProcessBenchItem(s.id, s.label or 0, 2) for s in labelled(8)})
    report = evaluate(answers.items, answers.answers)
    assert report.missing_by_reason == {"not judged yet": 4, "no row": 2}
    assert report.without_prediction_by_reason == {"failed": 1}


def test_another_benchmark_than_the_job_judged_is_refused(context: Context, database: Database, tmp_path: Path) -> None:
    solutions = labelled(4)
    job = take_in(database, solutions, shard=4).job_id
    work_off_all(database)
    rows = rows_of(solutions)
    del rows[0]
    rows[0]["label"] = 1
    rows[1]["steps"] = ["a"]
    rows[1]["label"] = -1
    items = read_items([write(tmp_path / "other.jsonl", rows)], LIMITS)
    with pytest.raises(InputError, match="3 rows") as error:
        read_job(context, job, items)
    assert [str(bad) for bad in error.value.bad_lines] == [
        "generated:1: id 'gsm8k-0' is not in the benchmark",
        "generated:2: id 'gsm8k-1' has label 0, 1 in the benchmark: two versions of it",
        "generated:3: id 'gsm8k-2' has label 1, -1 in the benchmark: two versions of it",
    ]
    with pytest.raises(NotFound):
        read_job(context, 99, None)


def test_a_job_without_labels_needs_the_file(context: Context, database: Database) -> None:
    job = take_in(database, [Solution("gsm8k-0", "p", ("a",))], shard=1).job_id
    work_off_all(database)
    with pytest.raises(InputError) as error:
        read_job(context, job, None)
    assert error.value.bad_lines[0].reason == "id 'gsm8k-0' has no label, and no benchmark file is named"
    assert read_job(context, job, {"gsm8k-0": ProcessBenchItem("gsm8k-0", 0, 1)}).items[0].label == 0


def prmbench_rows(n: int) -> list[dict[str, Any]]:
    return [
        {
            "idx": f"prm_{i}", "classification": "redundency", "modified_question": f"q{i}",
            "modified_process": ["a", "b", "c"], "original_question": f"o{i}", "original_process": ["a", "b"],
            "error_steps": [2],
        }
        for i in range(n)
    ]  # fmt: skip


def test_prmbench_is_judged_once_and_found_again(context: Context, database: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "redundency.jsonl", prmbench_rows(3))
    benchmark = read_benchmark([path], LIMITS)
    request = SubmitRequest((path,), make_recipe(JUDGE, k=2), rows=benchmark.rows)
    made = submit(context, request)
    assert (made.created, made.solutions, made.steps) == (True, 6, 15)
    again = submit(context, request)
    assert (again.created, again.job_id) == (False, made.job_id)
    work_off_all(database)
    scores = read_prm_job(context, made.job_id, benchmark)
    assert {id_: list(one.scores or ()) for id_, one in scores.items()} == {
        id_: one.rewards for id_, one in outcomes(database, made.job_id).items()
    }
    assert set(scores) == {f"{kind}_prm_{i}" for kind in ("redundency", "correct") for i in range(3)}
    fewer = read_benchmark([write(tmp_path / "fewer.jsonl", prmbench_rows(2))], LIMITS)
    with pytest.raises(InputError, match="2 rows") as error:
        read_prm_job(context, made.job_id, fewer)
    assert str(error.value.bad_lines[0]) == f"{path}:3: 'redundency_prm_2' is not in the benchmark"


def test_a_prmbench_solution_that_failed_is_missing(context: Context, database: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "redundency.jsonl", prmbench_rows(1))
    benchmark = read_benchmark([path], LIMITS)
    made = submit(context, SubmitRequest((path,), make_recipe(JUDGE, k=2), rows=benchmark.rows[:1]))
    lease = claim(database)
    record(database, lease, [fail(one) for one in load(database, lease)])
    assert read_prm_job(context, made.job_id, benchmark) == {"redundency_prm_0": PrmbenchResult()}


@pytest.mark.parametrize(
    ("family", "rewards", "valid"),
    [
        # The first by its own score, the others by their score less the one before: -0.04 is above -0.05.
        ("skywork-prm", (0.02, 0.5, 0.46), (True, True, True)),
        ("skywork-prm", (0.9, 0.84, 0.85), (True, False, True)),
        # A family's own threshold, in the unit of its rewards.
        ("qwen-prm", (0.5, 0.49, 0.9), (True, False, True)),
        ("pure-prm", (-0.1, 0.0, 0.3), (False, True, True)),
        ("math-minos", (-3.0, 0.2, 4.0), (False, True, True)),
    ],
)
def test_each_family_is_labelled_as_its_publishers_do(
    context: Context,
    database: Database,
    tmp_path: Path,
    family: str,
    rewards: tuple[float, ...],
    valid: tuple[bool, ...],
) -> None:
    benchmark = read_benchmark([write(tmp_path / "redundency.jsonl", prmbench_rows(1))], LIMITS)
    recipe = make_recipe(resolve_judge("scripted", family), k=None)
    made = submit(context, SubmitRequest(("r",), recipe, rows=benchmark.rows[:1]))
    lease = try_claim(database, queue=recipe.queue)
    assert lease is not None
    (loaded,) = load(database, lease)
    record(database, lease, [outcome(loaded, rewards, recipe.threshold)])
    result = read_prm_job(context, made.job_id, benchmark)["redundency_prm_0"]
    assert result.scores == pytest.approx(rewards)
    assert result.validity == valid
    # A threshold that is named counts for the scores themselves.
    assert result.called_valid("circular", 100.0) == (False, False, False)


def test_an_empty_step_of_prmbench_is_judged_as_it_stands(context: Context, database: Database, tmp_path: Path) -> None:
    rows = [{**row, "modified_process": ["a", "", "c"]} for row in prmbench_rows(1)]
    benchmark = read_benchmark([write(tmp_path / "redundency.jsonl", rows)], LIMITS)
    made = submit(context, SubmitRequest(("r",), make_recipe(JUDGE, k=2), rows=benchmark.rows))
    assert made.steps == 5
    work_off_all(database)
    scores = read_prm_job(context, made.job_id, benchmark)["redundency_prm_0"].scores
    assert scores is not None
    assert len(scores) == 3
    assert None not in scores


def test_responses_are_judged_and_picked_among(context: Context, database: Database, tmp_path: Path) -> None:
    rows = [{"id": str(i), "problem": "p", "responses": [["a"], ["b", "c"]], "labels": [True, False]} for i in range(2)]
    found = read_problems([write(tmp_path / "b.jsonl", rows)], LIMITS)
    made = submit(context, SubmitRequest(("b.jsonl",), make_recipe(JUDGE, k=2), rows=found.rows))
    assert (made.solutions, made.steps) == (4, 6)
    assert all(p.rewards == (None, None) for p in with_rewards_of(context, made.job_id, found.problems))
    work_off_all(database)
    judged = with_rewards_of(context, made.job_id, found.problems)
    by_id = outcomes(database, made.job_id)
    assert [[list(one or ()) for one in p.rewards] for p in judged] == [
        [by_id[f"{i}#{j}"].rewards for j in range(2)] for i in range(2)
    ]
    with pytest.raises(InputError, match="2 rows") as error:
        with_rewards_of(context, made.job_id, found.problems[:1])
    assert error.value.bad_lines[0].reason == "'1#0' is none of the responses"


def test_a_recipe_keeps_its_policy_with_every_default(context: Context, tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", rows_of(labelled(2)))
    recipe = make_recipe(resolve_judge("scripted"), k=8, stopping={"kind": "adaptive"})
    made = submit(context, SubmitRequest((path,), recipe))
    with context.database.transaction() as connection:
        stored = jobs.get(connection, made.job_id).recipe
    assert stored.stopping == {"kind": "adaptive", "confidence": 0.95, "min_k": 3}
    assert stored.digest == recipe.digest
    other = make_recipe(JUDGE, k=8, stopping={"kind": "exact"})
    assert submit(context, SubmitRequest((path,), other)).created
    with pytest.raises(ConfigError, match=r"between 0\.5 and 1"):
        make_recipe(JUDGE, k=8, stopping={"kind": "adaptive", "confidence": 2})
