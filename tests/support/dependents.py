"""Finished rollout jobs with a request for a score job."""

from __future__ import annotations

import json
from typing import Any

from rprm_jobs.services.upkeep.dependents import score_request
from rprm_jobs.store.session import Database
from rprm_jobs.types import Finish, JobKind, Response
from tests.support import jobs, store
from tests.support.generating import problems, rollouts
from workers.tasks.rollout import written


def finished_rollouts(database: Database, n: int = 20) -> int:
    """A rollout job that is done, with a request for a score job."""
    job = jobs.take_in(database, problems(n), rollouts(), shard=n, kind=JobKind.ROLLOUT).job_id
    finish_one_shard(database)
    request(database, job, score_request(jobs.make_recipe(k=2)))
    return job


def finish_one_shard(database: Database) -> None:
    lease = store.try_claim(database, queue=rollouts().queue)
    assert lease is not None
    responses = [Response(s.ord, ("one", "two"), Finish.STOP, 4, "4") for s in store.load(database, lease)]
    store.record(database, lease, [written(response) for response in responses])
    store.finish(database, lease)


def request(database: Database, job: int, plan: dict[str, Any]) -> None:
    store.run(database, "UPDATE jobs SET follow = CAST(:plan AS jsonb) WHERE id = :job", plan=json.dumps(plan), job=job)


def copies_begun(database: Database) -> int:
    """How often an intake was started: every one draws a job id, whether it commits or not."""
    return int(store.run(database, "SELECT last_value FROM jobs_id_seq")[0].last_value)
