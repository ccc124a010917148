"""A score job that follows a job that writes: made of its solutions in the moment when that one is done.

Whoever sweeps makes it, so nobody has to stay for it, and of two sweepers one is too late.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from rprm_jobs.errors import Conflict, InputError, RprmError, StoreError
from rprm_jobs.formats import InputRow
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.submit import SubmitRequest, submit
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.queue import dependents
from rprm_jobs.store.records import Job
from rprm_jobs.store.results.responses import read_rollout_rows
from rprm_jobs.types import KeepCritiques, Solution

_log = logging.getLogger(__name__)


def score_request(recipe: Recipe, *, priority: int = 0, keep: KeepCritiques = KeepCritiques.ALL) -> dict[str, Any]:
    """What is stored with a job so that its solutions are judged by this recipe when it is done."""
    return {"recipe": recipe.to_builtins(), "priority": priority, "keep_critiques": keep.value}


def create_dependents(context: Context) -> list[int]:
    """Make every follower that is due; returns the new jobs. What cannot be made is written down and not tried again.

    Raises StoreError.
    """
    with context.database.transaction() as connection:
        due = dependents.due(connection)
    made = [_make(context, job_id) for job_id in due]
    return [job_id for job_id in made if job_id is not None]


def _make(context: Context, job_id: int) -> int | None:
    with context.database.transaction() as connection:
        job, wanted = jobs.get(connection, job_id), dependents.read(connection, job_id)
    if wanted is None:
        return None
    try:
        request = SubmitRequest(
            (f"job {job_id}",),
            Recipe.from_builtins(wanted["recipe"]),
            priority=wanted["priority"],
            keep_critiques=KeepCritiques(wanted["keep_critiques"]),
            new=True,
            rows=_rows(context, job),
            depends_on=job_id,
        )
        submission = submit(context, request)
    except StoreError:
        raise
    except Conflict:
        # Another sweeper was quicker.
        return None
    except RprmError as error:
        _log.error("no score job follows job %d: %s", job_id, error.what)
        with context.database.transaction() as connection:
            dependents.give_up(connection, job_id, error.what)
        return None
    _log.info("job %d follows job %d", submission.job_id, job_id)
    return submission.job_id


def dependent_job_of(context: Context, job_id: int) -> int:
    """The score job that follows; made now where that is due. Raises InputError with the reason where there is none."""
    create_dependents(context)
    with context.database.transaction() as connection:
        found, wanted = dependents.follower(connection, job_id), dependents.read(connection, job_id)
    if found is None:
        why = (wanted or {}).get("error", "it was not asked for, or the job is not done")
        raise InputError(f"no score job follows job {job_id}: {why}", hint="see: rprm-jobs results")
    return found


def _rows(context: Context, job: Job) -> Iterator[InputRow]:
    for batch in read_rollout_rows(context.database, job):
        for one in batch:
            if one.status == "ok" and one.response is not None:
                solution = Solution(one.id, one.problem, one.response.steps, metadata=one.metadata)
                yield InputRow(f"job {job.id}", one.ord + 1, solution)
