"""Labelled jobs for tests of training sets: judged with given texts, or by the scripted engine in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from rprm_jobs.aggregation import score_solution
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.judge.verdict import read_verdict
from rprm_jobs.pairs.rules import Rules
from rprm_jobs.services.context import Context
from rprm_jobs.services.training.sets import BuildRequest, Built, build
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.records import StoredSolution
from rprm_jobs.store.session import Database
from rprm_jobs.types import Critique, Finish, JobKind, Solution, SolutionScore
from tests.support.jobs import JUDGE, make_recipe, take_in
from tests.support.store import finish, load, record, run, try_claim
from workers.engines.scripted.engine import ScriptedEngine, ScriptedOptions
from workers.tasks.budget import Budget
from workers.tasks.judge import judge_solutions
from workers.tasks.spec import JudgeSpec

Texts = Callable[[StoredSolution, int], Sequence[str]]


def with_texts(
    database: Database, solutions: Sequence[Solution], texts: Texts, *, recipe: Recipe | None = None, **options: Any
) -> int:
    """A finished job whose critiques of each step are `texts(solution, step)`; returns its id."""
    job = take_in(database, solutions, recipe, kind=JobKind.SAMPLE, **options).job_id
    while (lease := try_claim(database)) is not None:
        record(database, lease, [_score(solution, texts) for solution in load(database, lease)])
        finish(database, lease)
    return job


def _score(solution: StoredSolution, texts: Texts) -> SolutionScore:
    critiques = [
        Critique(step, k, read_verdict(text, Finish.STOP), None, 9, Finish.STOP, text)
        for step in solution.judged_steps
        for k, text in enumerate(texts(solution, step))
    ]
    return score_solution(solution.ord, len(solution.steps), critiques, 0.5, judged=solution.judge_steps)


def scripted(
    database: Database, solutions: Sequence[Solution], *, recipe: Recipe | None = None, shards: int | None = None
) -> int:
    """A job judged by the scripted engine: all of it, or so many of its shards; returns its id."""
    recipe = recipe or make_recipe(k=4)
    job = take_in(database, solutions, recipe, kind=JobKind.SAMPLE).job_id
    judge_ready(database, shards=shards)
    return job


def judge_ready(database: Database, *, shards: int | None = None, queue: str = "") -> None:
    """Judge whatever is ready for the scripted judge, or in `queue`, with the scripted engine, in this process."""
    asyncio.run(_judge_ready(database, shards, queue))


async def _judge_ready(database: Database, shards: int | None, queue: str) -> None:
    engine, done = ScriptedEngine(JUDGE, ScriptedOptions(text_chars=120)), 0
    await engine.start()
    while (shards is None or done < shards) and (lease := try_claim(database, queue=queue)) is not None:
        with database.transaction() as connection:
            recipe = jobs.get(connection, lease.job_id).recipe
        scores: list[SolutionScore] = []
        work = JudgeSpec.of(recipe, lease.retry_epoch)
        assert await judge_solutions(engine, Budget(1000), work, load(database, lease), scores.append, lambda: False)
        record(database, lease, scores)
        finish(database, lease)
        done += 1


def build_set(context: Context, name: str, job: int | Sequence[int], rules: Rules, **options: Any) -> Built:
    """Build a set as the commands do."""
    ids = (job,) if isinstance(job, int) else tuple(job)
    return build(context, BuildRequest(name, ids, rules, **options))


def rows(database: Database, name: str) -> list[Any]:
    """The set's rows, train first, each split in its order."""
    (row,) = run(database, "SELECT id FROM training_sets WHERE name = :name", name=name)
    return run(
        database,
        "SELECT r.*, s.ext_id, s.problem AS text FROM training_rows AS r JOIN solutions AS s USING (job_id, ord)"
        " WHERE set_id = :id ORDER BY validation, position",
        id=row.id,
    )
