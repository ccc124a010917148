"""Generated jobs: taken in by the store, waited for with a deadline, compared with the engine's answers, audited."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from rprm_jobs.engine import Generation
from rprm_jobs.errors import NotFound, StoreUnavailable
from rprm_jobs.judge.judgement import content_seed, step_contents
from rprm_jobs.judge.prompt import PromptTemplate
from rprm_jobs.judge.recipe import BY_CONTENT, BY_SOLUTION, Recipe, critique_seed
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.judge.verdict import find_verdicts
from rprm_jobs.services.context import Context
from rprm_jobs.services.upkeep.audit import audit
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.jobs.intake import Intake
from rprm_jobs.store.jobs.new_job import NewJob
from rprm_jobs.store.records import JobState, Progress
from rprm_jobs.store.results.export import Outcome, read_outcomes
from rprm_jobs.store.session import Database
from rprm_jobs.types import JobKind, KeepCritiques, Sampling, Solution
from workers.engines import create_engine

T = TypeVar("T")
JUDGE = resolve_judge("scripted")


def make_solutions(
    n: int, *, steps: int = 3, seed: int = 0, marks: Mapping[int, str] | None = None, prefix: str = "s"
) -> list[Solution]:
    """`n` small sums as rollouts. `marks` puts a marker of the scripted engine into the last step of solution i."""
    rng = random.Random(seed)
    solutions = []
    for i in range(n):
        total, texts = rng.randrange(100), []
        for _ in range(steps):
            more = rng.randrange(100)
            texts.append(f"{total} + {more} = {total + more}")
            total += more
        if marks and i in marks:
            texts[-1] += f" {marks[i]}"
        solutions.append(Solution(f"{prefix}{i}", f"Sum number {i}: what comes out?", tuple(texts), metadata={"n": i}))
    return solutions


def make_recipe(
    *, k: int = 2, seed: int = 0, threshold: float = 0.5, seed_rule: str = BY_SOLUTION, **sampling: Any
) -> Recipe:
    """A recipe of the scripted judge; what the command line submits has `seed_rule` BY_CONTENT."""
    return Recipe(
        judge=JUDGE.name,
        fingerprint=JUDGE.fingerprint,
        queue=JUDGE.queue,
        prompt=JUDGE.template.source,
        sampling=Sampling(**sampling),
        k=k,
        seed=seed,
        threshold=threshold,
        seed_rule=seed_rule,
    )


@dataclass(frozen=True)
class Taken:
    """What intake answered: the job's id, and whether it is new."""

    job_id: int
    created: bool


class _Same(Exception):
    pass


def take_in(
    database: Database,
    solutions: Sequence[Solution],
    recipe: Recipe | None = None,
    *,
    shard: int = 8,
    priority: int = 0,
    keep: KeepCritiques = KeepCritiques.ALL,
    dedupe: bool = False,
    kind: JobKind = JobKind.SCORE,
    source: str = "generated",
) -> Taken:
    """Store a job as `submit` does, without reading files and without notifying workers."""
    new = NewJob(recipe or make_recipe(), priority, keep, (source,), shard)
    same: int | None = None
    try:
        with database.transaction() as connection:
            intake = Intake(connection, kind)
            intake.load((0, i + 1, solution) for i, solution in enumerate(solutions))
            assert intake.repeated_ids(1) == ([], 0)
            same = intake.seal(new, dedupe=dedupe)
            if same is not None:
                raise _Same
            return Taken(intake.job_id, True)
    except _Same:
        assert same is not None
        return Taken(same, False)


def write_jsonl(path: Path, solutions: Sequence[Solution]) -> Path:
    """The solutions as an input file."""
    with path.open("wb") as file:
        for s in solutions:
            row = {"id": s.id, "problem": s.problem, "steps": list(s.steps), **s.metadata}
            file.write(msgspec.json.encode(row) + b"\n")
    return path


# Seconds are those of an idle machine; beside other tests things may take so many times as long.
PATIENCE = 3.0


def wait_for(
    look: Callable[[], T | None],
    *,
    within: float = 20.0,
    what: str | Callable[[], str] = "the condition",
    every: float = 0.05,
) -> T:
    """Poll until `look` returns something true. AssertionError with `what` after PATIENCE times `within` seconds."""
    deadline = time.monotonic() + PATIENCE * within
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {within:g} s: {what() if callable(what) else what}")
        time.sleep(every)


def progress(database: Database, job_id: int) -> Progress:
    """The job's sums now."""
    with database.transaction() as connection:
        return jobs.progress(connection, job_id)


def state(database: Database, job_id: int) -> JobState:
    """The job's state now."""
    with database.transaction() as connection:
        return jobs.progress(connection, job_id).state(jobs.get(connection, job_id))


def wait_done(database: Database, job_id: int, *, within: float = 30.0) -> None:
    """Wait until every shard of the job is done. Bears a server that is away for a while."""

    def look() -> bool:
        try:
            return state(database, job_id) is JobState.DONE
        except (StoreUnavailable, NotFound):
            return False

    wait_for(look, within=within, what=lambda: f"job {job_id} done: {progress(database, job_id)}")


def outcomes(database: Database, job_id: int) -> dict[str, Outcome]:
    """Every solution of the job by id, in the order of the input."""
    with database.transaction() as connection:
        job = jobs.get(connection, job_id)
    return {o.id: o for batch in read_outcomes(database, job) for o in batch}


def rewards(database: Database, job_id: int) -> dict[str, list[float | None] | None]:
    """The rewards of every solution of the job by id; None where there is no outcome."""
    return {id_: o.rewards for id_, o in outcomes(database, job_id).items()}


def expected_rewards(
    solutions: Sequence[Solution], recipe: Recipe, *, round_: int = 0, **options: str
) -> dict[str, list[float | None]]:
    """What an undisturbed run must give, worked out from the engine's answers without any of the runtime."""
    return asyncio.run(_expected(solutions, recipe, round_, options))


async def _expected(
    solutions: Sequence[Solution], recipe: Recipe, round_: int, options: Mapping[str, str]
) -> dict[str, list[float | None]]:
    engine = create_engine("scripted", JUDGE, options)
    await engine.start()
    template = PromptTemplate.parse(recipe.prompt)
    rewards: dict[str, list[float | None]] = {}
    for solution in solutions:
        rewards[solution.id] = []
        for step in range(len(solution.steps)):
            prompt = engine.encode(template.render(solution.problem, solution.steps, step))
            seeds = [seed_of(recipe, solution, step, k, round_) for k in range(recipe.k)]
            rewards[solution.id].append(_mean(await engine.sample(prompt, seeds, recipe.sampling)))
    return rewards


def seed_of(recipe: Recipe, solution: Solution, step: int, k: int, round_: int = 0) -> int:
    """The seed of one critique, by the recipe's own rule."""
    if recipe.seed_rule == BY_CONTENT:
        return content_seed(recipe.seed, step_contents(solution.problem, solution.steps)[step], k, round_)
    return critique_seed(recipe.seed, solution.id, step, k, round_)


def _mean(generations: Sequence[Generation]) -> float | None:
    votes = [
        g.p_yes if g.p_yes is not None else float(find_verdicts(g.text)[-1][1] == "Yes")
        for g in generations
        if find_verdicts(g.text)
    ]
    return math.fsum(votes) / len(votes) if votes else None


def assert_clean(context: Context, *job_ids: int) -> None:
    """The audit of these jobs (default: all) finds nothing."""
    findings = {a.job_id: a.findings for a in audit(context, list(job_ids) or None) if a.findings}
    assert not findings, findings
