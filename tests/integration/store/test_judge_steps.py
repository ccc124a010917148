"""Jobs that judge only some steps: the others have no reward, are no failure, and are counted nowhere."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs import control
from rprm_jobs.services.jobs.results import result_rows
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.jobs.intake import Intake
from rprm_jobs.store.jobs.new_job import NewJob
from rprm_jobs.store.session import Database
from rprm_jobs.types import JobKind, KeepCritiques, Solution
from tests.support.jobs import assert_clean, make_recipe, make_solutions, outcomes, progress, take_in
from tests.support.store import claim, fail, fail_held, finish, judge, load, record, run, work_off_all

pytestmark = pytest.mark.integration

ASKED = [(0, 2), (1,), None, (0, 1, 2, 3)]


def some_steps(n: int = 8) -> list[Solution]:
    """Solutions of four steps, of which those in ASKED are to be judged."""
    return [replace(s, judge_steps=ASKED[i % 4]) for i, s in enumerate(make_solutions(n, steps=4))]


def test_only_the_steps_asked_for_are_judged_and_counted(context: Context, database: Database) -> None:
    job = take_in(database, some_steps(), shard=4, kind=JobKind.SAMPLE).job_id
    with database.transaction() as connection:
        stored = jobs.get(connection, job)
    assert (stored.kind, stored.n_steps) == (JobKind.SAMPLE, 2 * (2 + 1 + 4 + 4))
    work_off_all(database)
    counts = progress(database, job)
    assert (counts.ok, counts.failed, counts.steps, counts.critiques) == (8, 0, stored.n_steps, 2 * stored.n_steps)
    for i, outcome in enumerate(outcomes(database, job).values()):
        asked = ASKED[i % 4] or (0, 1, 2, 3)
        assert outcome.rewards is not None
        assert [step for step, reward in enumerate(outcome.rewards) if reward is not None] == list(asked)
        assert outcome.critiques_per_step == [2 if step in asked else None for step in range(4)]
        wrong = [step for step in asked if (outcome.rewards[step] or 0.0) < 0.5]
        assert outcome.first_error == (wrong[0] if wrong else -1)
    assert_clean(context, job)


def test_failures_and_quarantine_count_the_steps_asked_for(context: Context, database: Database) -> None:
    job = take_in(database, some_steps(2), shard=1, kind=JobKind.SAMPLE).job_id
    lease = claim(database)
    record(database, lease, [fail(load(database, lease)[0])])
    finish(database, lease)
    assert [fail_held(database, claim(database)) for _ in range(3)] == ["again", "again", "quarantined"]
    counts = progress(database, job)
    assert (counts.failed, counts.quarantined, counts.steps) == (1, 1, 3)
    rows = run(database, f"SELECT status, critiques_per_step AS n FROM scores_j{job} ORDER BY ord")
    assert [(r.status, r.n) for r in rows] == [("failed", [0, None, 0, None]), ("quarantined", [None, 0, None, None])]
    assert_clean(context, job)
    assert control.retry(context, job, quarantined=True) == 2
    assert progress(database, job).steps == 0
    work_off_all(database)
    assert progress(database, job).steps == 3
    assert_clean(context, job)


def test_a_sample_job_is_another_job_than_a_score_job_of_the_same_rows(database: Database) -> None:
    rows = make_solutions(3)
    score, sample = (take_in(database, rows, dedupe=True, kind=kind) for kind in (JobKind.SCORE, JobKind.SAMPLE))
    assert score.job_id != sample.job_id
    assert sample.created
    assert take_in(database, rows, dedupe=True, kind=JobKind.SAMPLE).job_id == sample.job_id
    fewer = [replace(rows[0], judge_steps=(1,)), *rows[1:]]
    assert take_in(database, fewer, dedupe=True, kind=JobKind.SAMPLE).created


def test_results_say_which_steps_were_not_judged(context: Context, database: Database) -> None:
    job = take_in(database, some_steps(2), kind=JobKind.SAMPLE).job_id
    work_off_all(database)
    first = next(result_rows(context, job, critiques=True))
    assert first["critiques_per_step"] == [2, None, 2, None]
    assert [len(group) for group in first["critiques"]] == [2, 0, 2, 0]
    assert first["rewards"][1] is None


def test_several_solutions_of_one_line_keep_their_order_when_gathered(database: Database) -> None:
    # One row of PRM800K becomes several solutions; here those of two problems alternate, and are brought together.
    rows = [replace(s, problem=f"problem {i % 2}") for i, s in enumerate(make_solutions(6))]
    with database.transaction() as connection:
        intake = Intake(connection)
        intake.load((0, 1 + i // 3, row) for i, row in enumerate(rows))
        intake.repeated_ids(1)
        intake.seal(NewJob(make_recipe(), 0, KeepCritiques.ALL, ("x",), 2), dedupe=False)
    assert list(outcomes(database, intake.job_id)) == ["s0", "s2", "s1", "s4", "s3", "s5"]


def test_a_step_of_the_engine_that_was_not_asked_for_is_no_score(database: Database) -> None:
    job = take_in(database, some_steps(1), shard=1, kind=JobKind.SAMPLE).job_id
    lease = claim(database)
    (solution,) = load(database, lease)
    assert solution.judge_steps == (0, 2)
    assert list(solution.judged_steps) == [0, 2]
    score = judge(solution)
    assert list(score.judged_steps) == [0, 2]
    assert {c.step for c in score.critiques} == {0, 2}
    assert progress(database, job).steps == 0
