"""The judgements that this process makes: equal ones are made once, and whoever comes second waits and takes them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import takewhile

from rprm_jobs.judge.judgement import as_asked
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.store.records import Known
from rprm_jobs.types import Critique

# Some tens of megabytes of text. What is forgotten is found in the store, or sampled again.
_MOST_CRITIQUES = 20_000


@dataclass(slots=True)
class Judgement:
    """The critiques of one key so far with their texts, in the order of `k` from 0; held by one step at a time."""

    critiques: list[Critique] = field(default_factory=list)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def offer(self, critiques: Sequence[Critique | None]) -> None:
        """Take these if they are more; critiques of one key begin alike."""
        whole = [critique for critique in critiques if critique is not None and critique.text]
        if len(critiques) > len(self.critiques) and len(whole) == len(critiques):
            self.critiques[:] = whole

    def extend(self, critiques: Sequence[Critique]) -> None:
        """Have these, if none before them is missing here."""
        if critiques and (first := critiques[0].k) <= len(self.critiques):
            self.critiques[first : first + len(critiques)] = critiques

    def after(self, first: int, count: int, known: Known | None, recipe: Recipe) -> list[Critique]:
        """Critiques `first` to `first + count` as far as they are here, or are `known`, as the recipe has them."""
        critiques = (self._at(k, known, recipe) for k in range(first, first + count))
        return [critique for critique in takewhile(lambda critique: critique is not None, critiques) if critique]

    def missing(self, first: int, count: int, known: Known | None, recipe: Recipe) -> int:
        """How many of these critiques, of which the first is to be sampled, are to be sampled before one is there."""
        return next((n for n in range(1, count) if self._at(first + n, known, recipe)), count)

    def _at(self, k: int, known: Known | None, recipe: Recipe) -> Critique | None:
        here = as_asked(self.critiques[k], recipe) if k < len(self.critiques) else None
        return here or (known.critiques[k] if known is not None and k < len(known.critiques) else None)


class Judging:
    """The judgements of this process, those of the last `most_critiques` critiques. Used from one event loop."""

    def __init__(self, most_critiques: int = _MOST_CRITIQUES) -> None:
        self._most = most_critiques
        self._count = 0
        self._by_key: OrderedDict[bytes, Judgement] = OrderedDict()

    @asynccontextmanager
    async def hold(self, key: bytes) -> AsyncIterator[Judgement]:
        """Wait until no other step has this key, and have it until the block ends."""
        judgement = self._by_key.setdefault(key, Judgement())
        self._by_key.move_to_end(key)
        async with judgement.lock:
            before = len(judgement.critiques)
            try:
                yield judgement
            finally:
                # Whoever waited may find it forgotten meanwhile; then it is counted no longer.
                if self._by_key.get(key) is judgement:
                    self._count += len(judgement.critiques) - before
                    self._forget()

    def _forget(self) -> None:
        while self._count > self._most:
            _, oldest = self._by_key.popitem(last=False)
            self._count -= len(oldest.critiques)
