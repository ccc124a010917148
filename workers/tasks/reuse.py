"""Judgements that need not be sampled, since the store has them. `workers.tasks.judging` has those of this process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from rprm_jobs.errors import Deleted
from rprm_jobs.judge.judgement import judgement_key, judgement_space, step_contents
from rprm_jobs.judge.recipe import BY_CONTENT
from rprm_jobs.stopping import StepContext, StoppingRule
from rprm_jobs.store.records import Job, Known, Lease, StoredSolution
from rprm_jobs.store.results import judgements
from rprm_jobs.store.session import Database
from rprm_jobs.types import KeepCritiques


def with_keys(solutions: Sequence[StoredSolution], job: Job, lease: Lease, engine: str) -> list[StoredSolution]:
    """The solutions with the keys of their steps, where seeds derive from what is judged."""
    if job.recipe.seed_rule != BY_CONTENT:
        return list(solutions)
    space = judgement_space(job.recipe, engine)
    return [solution if _is_mixed(solution, lease) else _with_keys(solution, space, lease) for solution in solutions]


def _is_mixed(solution: StoredSolution, lease: Lease) -> bool:
    """Whether its critiques may be of several retry epochs, so that together they are no function of one key."""
    return lease.retry_epoch > 0 and bool(solution.previous_critiques)


def _with_keys(solution: StoredSolution, space: bytes, lease: Lease) -> StoredSolution:
    contents = step_contents(solution.problem, solution.steps)
    keys = (judgement_key(space, content, lease.retry_epoch) for content in contents)
    return replace(solution, keys=tuple(keys))


def find(database: Database, job: Job, rule: StoppingRule, solutions: Sequence[StoredSolution]) -> list[StoredSolution]:
    """The solutions with what the store knows of their steps (`known`). Raises StoreError."""
    wanted = {solution.keys[step] for solution in solutions if solution.keys for step in solution.judged_steps}
    keys = {key for key in wanted if key is not None}
    if not job.reuse or not keys:
        return list(solutions)
    try:
        with database.transaction() as connection:
            known = judgements.look_up(connection, keys, job.keep_critiques)
    except Deleted:
        # A job that had some of them is deleted at this moment; they are sampled.
        return list(solutions)
    return [_with_known(solution, known, job.keep_critiques, rule) for solution in solutions]


def _with_known(
    solution: StoredSolution, known: dict[UUID, Known], keep: KeepCritiques, rule: StoppingRule
) -> StoredSolution:
    known_steps = {}
    for step in solution.judged_steps:
        key = solution.keys[step] if solution.keys else None
        entry = None if key is None else known.get(key)
        if entry is not None and (
            keep is KeepCritiques.NONE or entry.with_texts or _decide(rule, solution, step, entry)
        ):
            known_steps[step] = entry
    return replace(solution, known=known_steps) if known_steps else solution


def _decide(rule: StoppingRule, solution: StoredSolution, step: int, known: Known) -> bool:
    """Whether these critiques decide the step: then it is as undisputed as they are, and no text of it is kept."""
    if rule.in_order:
        return False
    context = StepContext(step, screen=None if solution.screen is None else solution.screen[step])
    taken = 0
    while more := rule.more(known.critiques[:taken], context):
        taken += more
        if taken > len(known.critiques):
            return False
    return True
