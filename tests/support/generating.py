"""Recipes and problems of jobs that write, with the scripted models."""

from __future__ import annotations

from typing import Any

from rprm_jobs.judge.policy import resolve_policy
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.judge.resolve import Judge
from rprm_jobs.search.guided import SearchOptions
from rprm_jobs.services.jobs.generate import make_generation_config, rollout_recipe, search_recipe
from rprm_jobs.services.jobs.submit import make_recipe
from rprm_jobs.store.records import StoredSolution
from rprm_jobs.types import Solution
from tests.support.jobs import JUDGE

POLICY = resolve_policy("scripted")


def rollouts(*, seed: int = 0, **generation_config: Any) -> Recipe:
    """A recipe of plain rollouts."""
    return rollout_recipe(POLICY, make_generation_config(POLICY, **generation_config), seed=seed)


def searches(
    *, k: int | None = 2, seed: int = 0, max_new_tokens: int = 64, judge: Judge = JUDGE, **options: Any
) -> Recipe:
    """A recipe of searches."""
    generation_config = make_generation_config(POLICY, max_new_tokens=max_new_tokens, search=SearchOptions(**options))
    return search_recipe(POLICY, judge, generation_config, make_recipe(judge, k=k, seed=seed))


def problems(n: int, *, responses: int = 0) -> list[Solution]:
    """`n` problems, each once under its own id, or `responses` times as p#0, p#1, ..."""
    return [
        Solution(f"p{i}#{r}" if responses else f"p{i}", f"How much is {i} and 1?", (),
                 metadata={"problem_id": f"p{i}", "response": r, "answer": str((i + 1) % 5)})
        for i in range(n) for r in range(responses or 1)
    ]  # fmt: skip


def stored(solutions: list[Solution]) -> list[StoredSolution]:
    """As a worker reads them."""
    return [StoredSolution(n, solution.id, solution.problem, solution.steps) for n, solution in enumerate(solutions)]
