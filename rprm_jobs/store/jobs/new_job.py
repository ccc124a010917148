"""A new job's row and its shards, once its solutions lie in their partition. The caller attaches the partitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.store.jobs.screened_copy import ScreenScale
from rprm_jobs.store.schema import partitions
from rprm_jobs.types import JobKind, KeepCritiques

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class NewJob:
    """What a job is, apart from its solutions and kind; `dependent`, `depends_on`: columns `follow`, `follows`.

    With `screen` it is created from the solutions of a screen, whose rewards are on this scale; they are
    `grouped_by_problem` as the screen has them.
    """

    recipe: Recipe
    priority: int
    keep_critiques: KeepCritiques
    sources: tuple[str, ...]
    shard_solutions: int
    reading: Mapping[str, Any] = field(default_factory=dict)
    dependent: Mapping[str, Any] | None = None
    depends_on: int | None = None
    name: str | None = None
    model_paths: Mapping[str, str] = field(default_factory=dict)
    screen: ScreenScale | None = None
    grouped_by_problem: bool = False
    reuse: bool = True


@dataclass(frozen=True, slots=True)
class Totals:
    """What the job's solutions add up to; `steps` are those to be judged."""

    solutions: int
    steps: int
    digest: str


def shard_size(solutions: int, most: int, recipe: Recipe) -> int:
    """Solutions a shard, at most `most`: a small job is cut finer, so that all slots have something of it.

    Of a judge that scores in one pass it may be eight times as many: a shard of 32 would be over before it is claimed.
    """
    one_pass = recipe.generation_config is None and not recipe.judge_family.writes
    return max(1, min(8 * most if one_pass else most, solutions // 16))


def insert_job(
    connection: Connection,
    job_id: int,
    job: NewJob,
    totals: Totals,
    *,
    kind: JobKind = JobKind.SCORE,
    dedupe_key: str | None = None,
    grouped_by_problem: bool = False,
) -> bool:
    """Insert the job's row; False where a job with this key exists already."""
    result = connection.execute(
        text(
            """
            INSERT INTO jobs (id, kind, recipe, recipe_digest, input_digest, dedupe_key, queue, judge, priority,
                              n_solutions, n_steps, keep_critiques, sources, gathered, follow, follows,
                              name, model_paths, reuse)
            VALUES (:id, :kind, CAST(:recipe AS jsonb), :recipe_digest, :input_digest, :key, :queue, :judge,
                    :priority, :n_solutions, :n_steps, :keep, CAST(:sources AS jsonb), :gathered,
                    CAST(:follow AS jsonb), :follows, :name, CAST(:model_paths AS jsonb),
                    :reuse)
            ON CONFLICT (dedupe_key) DO NOTHING"""
        ),
        {
            "id": job_id,
            "kind": kind.value,
            "recipe": _encode(job.recipe.to_builtins()).decode(),
            "recipe_digest": job.recipe.digest,
            "input_digest": totals.digest,
            "key": dedupe_key,
            "queue": job.recipe.queue,
            "judge": job.recipe.judge,
            "priority": job.priority,
            "n_solutions": totals.solutions,
            "n_steps": totals.steps,
            "keep": job.keep_critiques.value,
            "sources": _encode({"files": job.sources, "reading": job.reading}).decode(),
            "gathered": grouped_by_problem,
            "follow": None if job.dependent is None else _encode(job.dependent).decode(),
            "follows": job.depends_on,
            "name": job.name,
            "model_paths": _encode(dict(job.model_paths)).decode(),
            "reuse": job.reuse,
        },
    )
    return result.rowcount == 1


def insert_shards(connection: Connection, job_id: int, job: NewJob) -> None:
    """Cut the job's solutions into ready shards of `job.shard_solutions`."""
    child = partitions.partition("solutions", job_id)
    connection.execute(
        text(
            f"""
            INSERT INTO shards (job_id, queue, priority, first_ord, last_ord)
            SELECT :job, :queue, :priority, first, least(first + :size - 1, top)
            FROM (SELECT max(ord) AS top FROM {child}) AS t, generate_series(0, top, :size) AS first
            ORDER BY first"""
        ),
        {"job": job_id, "queue": job.recipe.queue, "priority": job.priority, "size": job.shard_solutions},
    )
