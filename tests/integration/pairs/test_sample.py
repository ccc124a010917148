"""`sample` as a service: labelled input becomes a job that judges the labelled steps, and keeps every critique."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.errors import InputError
from rprm_jobs.formats.readers.labelled import LabelCounts
from rprm_jobs.pairs.rules import PairRules, SftRules
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.results import result_rows
from rprm_jobs.services.jobs.sample import SampleRequest, sample
from rprm_jobs.services.jobs.submit import SubmitRequest, submit
from rprm_jobs.store.jobs import jobs
from rprm_jobs.types import JobKind
from tests.support.jobs import assert_clean, make_recipe
from tests.support.store import work_off_all
from tests.support.training import build_set, judge_ready, rows

pytestmark = pytest.mark.integration


def write(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def row(id_: str, **labels: Any) -> dict[str, Any]:
    return {"id": id_, "problem": "p", "steps": ["s1", "s2", "s3"], **labels}


def test_a_sample_job_judges_labelled_steps_and_is_found_again(context: Context, tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", row("a", label=1), row("b", step_labels=[None, 0, -1]))
    made = sample(context, SampleRequest((file,), make_recipe()))
    assert (made.submission.solutions, made.submission.steps, made.submission.critiques) == (2, 4, 8)
    assert made.labels == LabelCounts(correct=1, neutral=1, wrong=2, unlabelled=2)
    work_off_all(context.database)
    assert_clean(context, made.submission.job_id)
    with context.database.transaction() as connection:
        assert jobs.get(connection, made.submission.job_id).kind is JobKind.SAMPLE
    found = list(result_rows(context, made.submission.job_id, critiques=True))
    assert [(r["id"], r["critiques_per_step"]) for r in found] == [("a", [2, 2, None]), ("b", [None, 2, 2])]
    assert all(c["text"] for r in found for group in r["critiques"] for c in group)
    again = sample(context, SampleRequest((file,), make_recipe()))
    assert (again.submission.created, again.submission.job_id) == (False, made.submission.job_id)
    assert again.labels == made.labels
    assert submit(context, SubmitRequest((file,), make_recipe())).created
    fewer = sample(context, SampleRequest((file,), make_recipe(), skip_neutral=True))
    assert (fewer.submission.created, fewer.submission.steps) == (True, 3)


def test_rows_without_labels_refuse_the_input_or_are_skipped(context: Context, tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", row("a"), row("b", label=0))
    with pytest.raises(InputError) as caught:
        sample(context, SampleRequest((file,), make_recipe()))
    (bad,) = caught.value.bad_lines
    assert (bad.line, "has no label" in bad.reason) == (1, True)
    made = sample(context, SampleRequest((file,), make_recipe(), skip_bad=True))
    assert (made.submission.solutions, made.submission.refused) == (1, 1)


def test_input_without_any_labelled_step_is_refused_with_its_hint(context: Context, tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", row("a", step_labels=[0, None, None]))
    with pytest.raises(InputError, match="none has a label") as caught:
        sample(context, SampleRequest((file,), make_recipe(), skip_neutral=True))
    assert "--skip-neutral" in caught.value.hint
    assert sample(context, SampleRequest((file,), make_recipe())).submission.steps == 1


def test_real_rows_of_prm800k_become_a_job(context: Context, test_data: Path) -> None:
    files = tuple(str(f) for f in sorted((test_data / "prm800k").glob("*.jsonl")))
    made = sample(context, SampleRequest(files, make_recipe()))
    assert (made.submission.solutions, made.submission.steps) == (3682, 5758)
    assert made.labels.unlabelled == 367
    judge_ready(context.database)
    assert_clean(context, made.submission.job_id)
    built = build_set(context, "prm800k", made.submission.job_id, PairRules())
    # The steps before a rated completion have no label in its row, and are not judged.
    assert sum(count for fate, count in built.counts["steps"].items() if fate != "no label") == 5758
    # Neutral counts as correct unless one says otherwise.
    labels = made.labels
    assert labels.neutral > 0
    assert built.counts["labels"] == {"correct": labels.correct + labels.neutral, "wrong": labels.wrong}
    assert built.n_train > 100
    assert built.n_validation > 0
    drawn = rows(context.database, "prm800k")
    problems = [{row.text for row in drawn if row.validation is side} for side in (False, True)]
    assert not problems[0] & problems[1]
    assert build_set(context, "cold", made.submission.job_id, SftRules()).n_train > 100
