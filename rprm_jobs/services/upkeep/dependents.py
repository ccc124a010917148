"""Dependent jobs: a score job is created from the solutions of another job, as soon as that one is done.

The other job writes the solutions, or is a screen: a cheaper judge whose scores tell where critiques are needed. (Two
jobs and not one with two judges: each worker holds one engine, any family can screen, and a screen's scores are there
for the next judge too.)

Workers look for due requests beside their sweeps. One of them claims a request and copies, batch by batch; the others
skip it. When the claimer dies the next worker that looks goes on with the next batch
(rprm_jobs.store.jobs.dependent_copy).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from rprm_jobs.errors import ConfigError, InputError, NotFound
from rprm_jobs.formats import ReadReport
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.submit import Submission, SubmitRequest, submit
from rprm_jobs.services.upkeep.sweep import notify_first
from rprm_jobs.store.jobs import dependent_copy, jobs
from rprm_jobs.store.jobs.dependent_copy import Progress
from rprm_jobs.store.jobs.new_job import NewJob
from rprm_jobs.store.jobs.screened_copy import ScreenScale
from rprm_jobs.store.queue import dependents
from rprm_jobs.store.records import Job
from rprm_jobs.types import KeepCritiques

_log = logging.getLogger(__name__)
_POLL_S = 0.5
_NOTHING = "there is no solution to judge"


class _ScoreRequest(msgspec.Struct, frozen=True):
    """A stored request; other fields (`made`, `copying`, `error`) belong to the store."""

    recipe: dict[str, Any]
    priority: int
    keep_critiques: KeepCritiques
    screened: bool = False
    model_paths: dict[str, str] = {}
    reuse: bool = True


def score_request(
    recipe: Recipe, *, priority: int = 0, keep: KeepCritiques = KeepCritiques.ALL, screened: bool = False
) -> dict[str, Any]:
    """What is stored with a job so that its solutions are judged by this recipe when it is done.

    `screened`: the job is a screen, and its rewards are told to the other's stopping rule.
    """
    request = {"recipe": recipe.to_builtins(), "priority": priority, "keep_critiques": keep.value}
    return {**request, "screened": True} if screened else request


def submit_screened(
    context: Context, request: SubmitRequest, screen: Recipe, *, screen_paths: Mapping[str, str] | None = None
) -> Submission:
    """Submit a job that judges by `screen`, and request the one that judges by the request's own recipe after it.

    The latter is created when the screen has been through every solution; see `create_dependents`. `screen_paths` is
    the folder of the screen's model, as `model_paths` of the request is that of the judge's.
    """
    plan = score_request(request.recipe, priority=request.priority, keep=request.keep_critiques, screened=True)
    plan |= {"model_paths": dict(request.model_paths)} | ({} if request.reuse else {"reuse": False})
    submission = submit(context, replace(request, recipe=screen, dependent=plan, model_paths=screen_paths or {}))
    if not submission.created:
        with context.database.transaction() as connection:
            dependents.request(connection, submission.job_id, plan)
    return submission


def _log_unreadable(error: ConfigError) -> None:
    _log.error("%s", error.what)


def create_dependents(context: Context, *, unreadable: Callable[[ConfigError], None] = _log_unreadable) -> list[int]:
    """Create the dependent jobs that are due and that nobody else is creating; returns their ids. Raises StoreError.

    A request for which there is nothing to judge is marked with that error. One that this version cannot read is
    handed to `unreadable` and left to a worker of another version.
    """
    with context.database.transaction() as connection:
        due = dependents.due(connection)
    created = []
    for job_id in due:
        try:
            created += _create(context, job_id)
        except NotFound:
            continue
        except ConfigError as error:
            unreadable(ConfigError(f"the score job of job {job_id} cannot be created: {error.what}"))
    return created


def _create(context: Context, job_id: int) -> list[int]:
    """The id of the new job, or nothing: it is not due, or another is creating it. Raises ConfigError, NotFound."""
    with context.database.transaction() as connection:
        job, stored = jobs.get(connection, job_id), dependents.read_request(connection, job_id)
    if stored is None:
        return []
    new = _new_job(context, job, stored)
    progress = Progress.MORE
    while progress is Progress.MORE:
        with context.database.transaction() as connection:
            progress = dependent_copy.advance(connection, job_id, new)
    if progress is Progress.EMPTY:
        _log.error("job %d gets no score job: %s", job_id, _NOTHING)
        with context.database.transaction() as connection:
            dependents.fail(connection, job_id, _NOTHING)
    if progress is not Progress.CREATED:
        return []
    with context.database.transaction() as connection:
        created = dependents.dependent_job(connection, job_id)
    notify_first(context, new.recipe.queue)
    _log.info("job %s scores the solutions of job %d", created, job_id)
    return [] if created is None else [created]


def _new_job(context: Context, job: Job, stored: dict[str, Any]) -> NewJob:
    try:
        request = msgspec.convert(stored, _ScoreRequest)
    except msgspec.ValidationError as error:
        raise ConfigError(f"the score request of job {job.id} cannot be read: {error}") from error
    new = NewJob(
        Recipe.from_builtins(request.recipe),
        request.priority,
        request.keep_critiques,
        (f"job {job.id}",),
        context.settings.shard_solutions,
        reading=ReadReport().to_builtins(),
        depends_on=job.id,
        name=job.name,
        model_paths={role: path for role, path in job.model_paths.items() if role == "judge"},
    )
    if not request.screened:
        return new
    family = job.recipe.judge_family
    scale = ScreenScale(job.recipe.threshold, family.lowest, family.highest)
    return replace(
        new,
        sources=job.sources,
        reading=job.reading,
        screen=scale,
        grouped_by_problem=job.grouped_by_problem,
        model_paths=request.model_paths,
        reuse=request.reuse,
    )


def dependent_job_of(context: Context, job_id: int, *, sleep: Callable[[float], None] = time.sleep) -> int:
    """The id of the job's score job, which is created now if it is due; waits while another process creates it.

    Raises InputError with the reason when there is none, NotFound, and ConfigError for a request that cannot be read.
    """
    while True:
        _create(context, job_id)
        with context.database.transaction() as connection:
            dependent_id = dependents.dependent_job(connection, job_id)
            if dependent_id is not None:
                return dependent_id
            if not dependents.is_due(connection, job_id):
                request = dependents.read_request(connection, job_id) or {}
                reason = request.get("error", "it was not requested, or the job is not done")
                raise InputError(
                    f"job {job_id} has no score job: {reason}",
                    hint=f"see what became of it: rprm-jobs results {job_id}",
                )
        sleep(_POLL_S)
