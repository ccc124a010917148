"""The judges that the service offers by name. A request names one of them, and never a folder or a hub's model.

Whoever starts the service chooses: shipped judges are always there, others by `--judge`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from rprm_jobs.errors import NotFound
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.judge.resolve import Judge, resolve_judge, shipped_judges
from rprm_jobs.services.jobs.submit import make_recipe

_MOST_RECIPES = 1000


class JudgeBook:
    """Judges by the name that requests use, each looked up once. `names` come first, and the first is the default."""

    def __init__(self, names: Sequence[str] = (), *, k: int | None = None) -> None:
        """Look up `names` at once. Raises NotFound, JudgeError."""
        self.default_k = k
        self._judges: dict[str, Judge] = {}
        for name in names:
            judge = resolve_judge(name)
            self._judges[name] = self._judges[judge.name] = judge
        self.names = list(dict.fromkeys((*names, *shipped_judges())))
        self._recipes: dict[tuple[Any, ...], Recipe] = {}

    @property
    def default(self) -> str:
        """The judge of a request that names none."""
        return next((name for name in self.names), "tiny")

    def judge(self, name: str | None, family: str | None = None) -> Judge:
        """The judge of this name. Raises NotFound for one that is not offered, ConfigError for an unknown `family`."""
        name = name or self.default
        if name not in self._judges:
            if name not in shipped_judges():
                offered = ", ".join(self.names)
                raise NotFound(f"the service offers no judge {name!r}", hint=f"it offers {offered}; see --judge")
            self._judges[name] = resolve_judge(name)
        return self._judges[name] if family is None else resolve_judge(name, family)

    async def recipe(self, name: str | None, *, k: int | None, seed: int, threshold: float | None) -> Recipe:
        """How to judge with this judge. Raises NotFound, ConfigError."""
        key = (name or self.default, k or self.default_k, seed, threshold)
        recipe = self._recipes.get(key)
        if recipe is None:
            judge = await asyncio.to_thread(self.judge, name)
            recipe = make_recipe(judge, k=key[1], seed=seed, threshold=threshold)
            if len(self._recipes) >= _MOST_RECIPES:
                self._recipes.clear()
            self._recipes[key] = recipe
        return recipe
