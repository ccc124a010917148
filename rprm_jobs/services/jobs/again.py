"""Judging the solutions of a job again, with another judge or recipe: nothing is read but the store.

The solutions of a job that judges are copied inside Postgres; those that a policy wrote are its finished responses.
"""

from __future__ import annotations

from collections.abc import Iterator

from rprm_jobs.errors import Conflict
from rprm_jobs.formats import InputRow
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.submit import SubmitRequest
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.jobs.measured import read_texts
from rprm_jobs.store.records import Job, JobState
from rprm_jobs.store.results.responses import read_rollout_rows
from rprm_jobs.store.session import Database
from rprm_jobs.types import KeepCritiques, Solution


def request_from_job(
    context: Context,
    job_id: int,
    recipe: Recipe,
    *,
    priority: int = 0,
    keep: KeepCritiques = KeepCritiques.ALL,
    new: bool = False,
) -> SubmitRequest:
    """What to submit so that the solutions of the job are judged by `recipe`.

    Raises NotFound, and Conflict for a job that has not finished writing its solutions.
    """
    with context.database.transaction() as connection:
        job = jobs.get(connection, job_id)
        state = jobs.progress(connection, job_id).state(job)
    if not job.kind.writes:
        return SubmitRequest(job.sources, recipe, priority=priority, keep_critiques=keep, new=new, from_job=job)
    if state not in (JobState.DONE, JobState.CANCELLED):
        raise Conflict(
            f"job {job_id} is still writing its solutions", hint=f"wait for it: rprm-jobs status {job_id} --watch"
        )
    rows = written_solutions(context.database, job)
    return SubmitRequest((f"job {job.id}",), recipe, priority=priority, keep_critiques=keep, new=new, rows=rows)


def solutions_of(context: Context, job_id: int) -> Iterator[InputRow]:
    """The solutions that `--from-job` would have judged. Raises as `request_from_job`."""
    with context.database.transaction() as connection:
        job = jobs.get(connection, job_id)
    if job.kind.writes:
        return written_solutions(context.database, job)
    return _judged_solutions(context.database, job)


def _judged_solutions(database: Database, job: Job) -> Iterator[InputRow]:
    for solution in read_texts(database, job.id):
        yield InputRow(f"job {job.id}", solution.ord + 1, Solution(solution.id, solution.problem, solution.steps))


def written_solutions(database: Database, job: Job) -> Iterator[InputRow]:
    """What a job that writes has finished, as rows to be judged: its responses, in the order of writing."""
    for batch in read_rollout_rows(database, job):
        for row in batch:
            if row.status == "ok" and row.response is not None:
                solution = Solution(row.id, row.problem, row.response.steps, metadata=row.metadata)
                yield InputRow(f"job {job.id}", row.ord + 1, solution)
