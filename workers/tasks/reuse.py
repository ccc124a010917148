"""Judgements that need not be sampled, since the store has them. `workers.tasks.judging` has those of this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile

from rprm_jobs.judge.judgement import as_asked, judgement_keys, judgement_space, step_contents
from rprm_jobs.judge.recipe import BY_CONTENT, Recipe
from rprm_jobs.stopping import StepContext, StoppingRule
from rprm_jobs.store.records import Job, Known, Lease, StoredSolution
from rprm_jobs.types import Critique, KeepCritiques


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
    keys = judgement_keys(space, contents, lease.retry_epoch)
    return replace(solution, keys=tuple(keys), contents=tuple(contents))


def wanted(solutions: Sequence[StoredSolution]) -> dict[bytes, set[bytes]]:
    """The keys of the steps to judge, by the key of their solution's first step."""
    keys: dict[bytes, set[bytes]] = {}
    for solution in solutions:
        if solution.keys:
            keys.setdefault(solution.keys[0], set()).update(solution.keys[step] for step in solution.judged_steps)
    return keys


def with_known(
    solutions: Sequence[StoredSolution], known: Mapping[bytes, Known], keep: KeepCritiques, recipe: Recipe
) -> list[StoredSolution]:
    """The solutions with what is known of their steps (`known`), as the recipe has it.

    A job that keeps texts takes critiques without one only where they decide the step: then it is as undisputed as they
    are, and no text of it is kept.
    """
    return [_with_known(solution, known, keep, recipe) for solution in solutions] if known else list(solutions)


def _with_known(
    solution: StoredSolution, known: Mapping[bytes, Known], keep: KeepCritiques, recipe: Recipe
) -> StoredSolution:
    entries = {step: known.get(solution.keys[step]) for step in solution.judged_steps} if solution.keys else {}
    steps = {
        step: replace(
            entry,
            critiques=tuple(critique and as_asked(critique, recipe) for critique in entry.critiques),
            if_decided=not entry.with_texts and keep is not KeepCritiques.NONE,
        )
        for step, entry in entries.items()
        if entry is not None
    }
    return replace(solution, known=steps) if steps else solution


def decide(rule: StoppingRule, critiques: Sequence[Critique | None], context: StepContext) -> bool:
    """Whether these critiques, or the first ones of them, are all that the rule asks for."""
    first = list(takewhile(lambda critique: critique is not None, critiques))
    taken = 0
    while more := rule.more([critique for critique in first[:taken] if critique], context):
        taken += more
        if taken > len(first):
            return False
    return True
