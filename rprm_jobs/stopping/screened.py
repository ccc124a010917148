"""Priors of Yes votes by what a cheaper judge said of the step: a step that the screen is sure of needs fewer votes."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from rprm_jobs.stopping.prior import Seen, fit_prior, fit_wrong

# Ranges of P(correct) end at these scores. Screens are mostly sure, so the outer ones are narrow.
EDGES = (0.05, 0.2, 0.5, 0.8, 0.95, 1.0)
# A range with few steps is mostly the prior of all: as much as if it had so many steps with that.
_PSEUDO_STEPS = 20.0


def fit_by_screen(
    steps: Iterable[tuple[float, int, float]], k: int, threshold: float, common: Sequence[float]
) -> list[dict[str, Any]]:
    """The `by_screen` of a planned rule, from steps as (screen's score, votes, sum of the votes).

    `common` is the prior of all steps of the job. A range that no step fell into is left out.
    """
    seen: list[Counter[tuple[int, int]]] = [Counter() for _ in EDGES]
    totals: list[list[float]] = [[] for _ in EDGES]
    for score, votes, total in steps:
        place = min(bisect_left(EDGES, score), len(EDGES) - 1)
        seen[place][votes, int(total + 0.5)] += 1
        if votes == k:
            totals[place].append(total)
    return [
        {"upto": upto, "prior": _prior(seen[place], k, common), "wrong": fit_wrong(totals[place], k, threshold)}
        for place, upto in enumerate(EDGES)
        if seen[place]
    ]


def _prior(seen: Seen, k: int, common: Sequence[float]) -> tuple[float, ...]:
    return fit_prior(seen, k, towards=common, pseudo_steps=_PSEUDO_STEPS)
