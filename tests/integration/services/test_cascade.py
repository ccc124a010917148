"""A screen and the judge behind it, and forced verdicts: from submit to results, audited like every job."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rprm_jobs.cli.shared.progress import status_json, status_lines
from rprm_jobs.errors import ConfigError
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.query import job_status
from rprm_jobs.services.jobs.results import result_rows
from rprm_jobs.services.jobs.submit import SubmitRequest, make_recipe, submit
from rprm_jobs.services.upkeep.dependents import create_dependents, submit_screened
from rprm_jobs.store.session import Database
from tests.integration.services.test_family_jobs import work_off
from tests.support import jobs, store

pytestmark = pytest.mark.integration


def write(folder: Path, steps: list[list[str]], n: int = 30) -> SubmitRequest:
    """Solutions whose problems return, so that the order of judging is not that of the input."""
    rows = [{"id": f"gsm8k-{i}", "problem": f"p{i % 7}", "steps": steps[i % len(steps)], "label": -1} for i in range(n)]
    path = folder / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = make_recipe(
        resolve_judge("scripted"), k=6, stopping={"kind": "cascade", "confidence": 0.75, "weight": 6.0}
    )
    return SubmitRequest((str(path),), recipe)


STEPS = [[f"step {n}" for n in range(4)], ["a", "b"], ["[[scripted:unparsed]] x", "y"]]


@pytest.mark.parametrize("family", ["critic", "critic-scores", "genprm", "thinkprm", "math-shepherd", "pure-prm"])
def test_any_family_screens(
    context: Context, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    monkeypatch.setattr("rprm_jobs.store.jobs.dependent_copy.ORDS", 7)
    request = write(tmp_path, STEPS[:2])
    screen = make_recipe(resolve_judge("scripted", family), k=None)
    screening = submit_screened(context, request, screen).job_id
    assert create_dependents(context) == []
    work_off(database, family)
    (judged,) = create_dependents(context)
    work_off(database, "rprm")
    before, rows = (list(result_rows(context, job)) for job in (screening, judged))
    assert [row["id"] for row in rows] == [row["id"] for row in before] == [f"gsm8k-{i}" for i in range(30)]
    counts = [count for row in rows for count in row["critiques_per_step"]]
    assert 0 in counts
    assert max(counts) > 0
    for row, screened in zip(rows, before, strict=True):
        told = [reward if family != "pure-prm" else (reward + 1) / 2 for reward in screened["rewards"]]
        assert row["screen"] == pytest.approx(told)
        for reward, count, score in zip(row["rewards"], row["critiques_per_step"], row["screen"], strict=True):
            assert 0 <= reward <= 1
            assert count or reward == pytest.approx(score)
    assert sum(counts) < 6 * len(counts)
    jobs.assert_clean(context, screening, judged)


def test_steps_that_the_screen_failed_on_are_judged_without_it(
    context: Context, database: Database, tmp_path: Path
) -> None:
    screening = submit_screened(context, write(tmp_path, STEPS), make_recipe(resolve_judge("scripted", "critic"), k=2))
    work_off(database, "critic")
    (judged,) = create_dependents(context)
    work_off(database, "rprm")
    rows = {row["id"]: row for row in result_rows(context, judged)}
    failed = [row["id"] for row in result_rows(context, screening.job_id) if row["status"] == "failed"]
    assert failed
    assert all(rows[id_]["screen"] == [None, None] for id_ in failed)


def test_the_same_cascade_is_found_again(context: Context, database: Database, tmp_path: Path) -> None:
    request, screen = write(tmp_path, STEPS[:2]), make_recipe(resolve_judge("scripted", "critic"), k=2)
    first = submit_screened(context, request, screen)
    again = submit_screened(context, request, screen)
    assert (again.job_id, again.created) == (first.job_id, False)
    work_off(database, "critic")
    assert len(create_dependents(context)) == 1
    submit_screened(context, request, screen)
    assert create_dependents(context) == []


@pytest.mark.parametrize("reuse", [True, False])
def test_a_cascade_takes_what_is_there_unless_it_is_told_not_to(
    context: Context, database: Database, tmp_path: Path, reuse: bool
) -> None:
    request, screen = write(tmp_path, STEPS[:2]), make_recipe(resolve_judge("scripted", "critic"), k=2)
    submit(context, replace(request, recipe=make_recipe(resolve_judge("scripted"), k=6)))
    work_off(database, "rprm")
    submit_screened(context, replace(request, reuse=reuse), screen)
    work_off(database, "critic")
    (judged,) = create_dependents(context)
    work_off(database, "rprm")
    rows = list(result_rows(context, judged))
    assert any(row["critiques_per_step"] for row in rows)
    assert (sum(sum(row.get("reused", [])) for row in rows) > 0) is reuse
    jobs.assert_clean(context, judged)


def test_forced_verdicts_are_counted_and_marked(context: Context, database: Database, tmp_path: Path) -> None:
    request = write(tmp_path, [["[[scripted:unparsed]] x", "[[scripted:truncated]] y", "z"]], n=4)
    judge = resolve_judge("scripted")
    forced = make_recipe(judge, k=3, force_verdict=True)
    job = submit(context, SubmitRequest(request.paths, forced)).job_id
    work_off(database, "rprm")
    rows = list(result_rows(context, job, critiques=True))
    for row in rows:
        assert (row["status"], row["forced_verdicts"]) == ("ok", 6)
        marked = [[critique.get("forced", False) for critique in step] for step in row["critiques"]]
        assert marked == [[True] * 3, [True] * 3, [False] * 3]
        assert all(critique["p_yes"] is not None for step in row["critiques"] for critique in step)
        assert "Verification" not in row["critiques"][0][0]["text"]
    status = job_status(context, job)
    assert status.forced_verdicts == 24
    assert status_json(status)["forced_verdicts"] == 24
    assert any("24 of 36 verdicts were forced" in line for line in status_lines(status))
    jobs.assert_clean(context, job)
    plain = submit(context, SubmitRequest(request.paths, make_recipe(judge, k=3))).job_id
    work_off(database, "rprm")
    assert {row["status"] for row in result_rows(context, plain)} == {"failed"}
    assert all("forced_verdicts" not in row for row in result_rows(context, plain))
    assert job_status(context, plain).forced_verdicts is None
    assert store.run(database, "SELECT count(*) AS n FROM verdicts WHERE job_id = :job AND forced", job=plain)[0].n == 0


def test_only_critiques_of_steps_can_be_forced() -> None:
    with pytest.raises(ConfigError, match="force_verdict"):
        make_recipe(resolve_judge("scripted", "critic"), k=1, force_verdict=True)
