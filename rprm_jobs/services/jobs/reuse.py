"""How many critiques of an input need not be sampled: those of the store, and those of steps that return in it."""

from __future__ import annotations

from rprm_jobs.judge.judgement import judgement_keys, judgement_space, step_contents
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.store.results import judgements
from rprm_jobs.store.session import Database
from rprm_jobs.types import KeepCritiques, Solution

_BATCH = 20_000
# A step that returns after so many others is not recognised: memory stays bounded, and the estimate says too much.
_MOST_REMEMBERED = 2_000_000


class ReuseCounter:
    """Takes the solutions of an input (`add`); `total` then says how many critiques need not be sampled."""

    def __init__(self, database: Database, recipe: Recipe, keep: KeepCritiques) -> None:
        self._database, self._recipe, self._keep = database, recipe, keep
        with database.transaction() as connection:
            engines = judgements.engines(connection, recipe.queue)
        self._spaces = [judgement_space(recipe, engine) for engine in engines]
        self._seen: set[int] = set()
        self._pending: list[dict[bytes, set[bytes]]] = [{} for _ in self._spaces]
        self._equal = self._known = self._asked = 0

    def add(self, solution: Solution) -> None:
        """Count the steps of the solution that are to be judged."""
        contents = step_contents(solution.problem, solution.steps)
        new = []
        for step in range(len(contents)) if solution.judge_steps is None else solution.judge_steps:
            short = int.from_bytes(contents[step][:8], "big")
            if short in self._seen:
                self._equal += self._recipe.k
                continue
            if len(self._seen) < _MOST_REMEMBERED:
                self._seen.add(short)
            new.append(step)
        for space, pending in zip(self._spaces, self._pending, strict=True):
            keys = judgement_keys(space, contents)
            pending.setdefault(keys[0], set()).update(keys[step] for step in new)
        self._asked += len(new)
        if self._asked >= _BATCH:
            self._ask()

    def total(self) -> int:
        """Critiques that need not be sampled, of the engine that has most of them."""
        self._ask()
        return self._known + self._equal

    def _ask(self) -> None:
        if not self._asked or not self._spaces:
            return
        with self._database.transaction() as connection:
            self._known += max(
                judgements.count_known(connection, wanted, self._keep, self._recipe.k) for wanted in self._pending
            )
        self._pending, self._asked = [{} for _ in self._spaces], 0
