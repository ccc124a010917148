"""Jobs that write, on real workers: a search goes on where the last worker died, and a score job follows once."""

from __future__ import annotations

import json

import pytest

from rprm_jobs.services.upkeep.dependents import score_request
from rprm_jobs.types import JobKind
from tests.support import jobs, store
from tests.support.generating import problems, rollouts, searches
from tests.support.trial import Trial

pytestmark = pytest.mark.acceptance


@pytest.mark.parametrize("point", ["record.after-fence:2", "record.before-commit:3"])
def test_a_search_goes_on_where_the_last_worker_died(trial: Trial, point: str) -> None:
    recipe = searches(candidates=3, k=1)
    solutions = problems(12)
    job = jobs.take_in(trial.database, solutions, recipe, shard=4, kind=JobKind.SEARCH).job_id
    pair = ("--policy", "scripted", "--policy-engine", "scripted")
    assert trial.start(*pair, ready=False, RPRM_CRASH_AT=point).wait_exit() == 137
    jobs.assert_clean(trial.context)
    trial.workers.start(*pair)
    trial.wait_done(job)
    jobs.assert_clean(trial.context)
    undisturbed = jobs.take_in(trial.database, solutions, recipe, shard=4, kind=JobKind.SEARCH).job_id
    trial.wait_done(undisturbed)
    columns = "ord, steps, finish, answer, rewards, tokens, tree"
    rows = [
        store.run(trial.database, f"SELECT {columns} FROM responses_j{one} ORDER BY ord") for one in (job, undisturbed)
    ]
    assert len(rows[0]) == 12
    assert rows[0] == rows[1]


def test_the_score_job_is_made_by_whoever_sweeps_and_only_once(trial: Trial) -> None:
    job = jobs.take_in(trial.database, problems(6, responses=2), rollouts(), shard=4, kind=JobKind.ROLLOUT).job_id
    wanted = json.dumps(score_request(jobs.make_recipe(k=2)))
    store.run(trial.database, "UPDATE jobs SET follow = CAST(:wanted AS jsonb)", wanted=wanted)
    for _ in range(2):
        trial.workers.start()
    query = "SELECT id FROM jobs WHERE follows = :job"
    jobs.wait_for(lambda: store.run(trial.database, query, job=job), within=30, what=trial.workers.logs)
    (row,) = store.run(trial.database, query, job=job)
    trial.wait_done(row.id)
    jobs.assert_clean(trial.context)
    assert len(jobs.outcomes(trial.database, row.id)) == 12
    assert len(store.run(trial.database, "SELECT 1 FROM jobs")) == 2
    assert "ERROR" not in trial.workers.logs()
