"""Guided search over steps: which of the candidates of a depth a search goes on from. Pure; engines are elsewhere.

Greedy search (R-PRM, section 5.3) keeps one path. Beam search keeps `width` paths, and with `diverse` each of them goes
on by itself, as independent subtrees do in "Scaling test-time compute" (DVTS). A path that has ended waits, and takes
one of the places; the best ended path is the answer. The first maximum wins everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from rprm_jobs.errors import ConfigError
from rprm_jobs.words import counted

RANKINGS = ("last", "min", "product")


class SearchOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`candidates` steps are sampled at each depth in all, for `width` paths; at most `max_steps` depths.

    `rank` is what a path is ranked by: the reward of its last step, its smallest, or the product of all.
    """

    candidates: int = 8
    width: int = 1
    diverse: bool = False
    rank: str = "last"
    max_steps: int = 30

    def __post_init__(self) -> None:
        if not 1 <= self.width <= self.candidates:
            raise ConfigError(
                f"{counted(self.candidates, 'candidate')} cannot serve {counted(self.width, 'path')}",
                hint="use 1 <= width <= candidates",
            )
        if self.max_steps < 1:
            raise ConfigError("max_steps is below 1", hint="e.g. 30")
        if self.rank not in RANKINGS:
            raise ConfigError(f"unknown ranking {self.rank!r}", hint=f"use one of {', '.join(RANKINGS)}")


class Path(msgspec.Struct, frozen=True):
    """Steps with their rewards."""

    steps: tuple[str, ...] = ()
    rewards: tuple[float, ...] = ()

    def score(self, rank: str) -> float:
        """What it is ranked by; higher is better."""
        if rank == "product":
            return math.fsum(math.log(reward) if reward > 0 else -math.inf for reward in self.rewards)
        return min(self.rewards) if rank == "min" else self.rewards[-1]


class Candidate(msgspec.Struct, frozen=True):
    """One candidate for the next step of the path number `parent`.

    `copies` were sampled alike. `ends`: the policy ended its solution with it. `cut`: the token limit ended it.
    `reward` is None where there is none: of a cut candidate, or with the `reason` why it could not be judged.
    """

    parent: int
    text: str
    copies: int = 1
    ends: bool = False
    cut: bool = False
    reward: float | None = None
    critiques: int = 0
    reason: str | None = None
    kept: bool = False


class Search(msgspec.Struct, frozen=True):
    """A search as far as it is: the paths it goes on from, those that ended, and every candidate by depth."""

    active: tuple[Path, ...] = (Path(),)
    ended: tuple[Path, ...] = ()
    depths: tuple[tuple[Candidate, ...], ...] = ()

    def as_tree(self) -> dict[str, Any]:
        """As JSON types, to be stored."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built

    @classmethod
    def from_tree(cls, tree: Mapping[str, Any]) -> Search:
        """Back from the store."""
        return msgspec.convert(tree, cls)

    def over(self, options: SearchOptions) -> bool:
        """Whether nothing is left to expand."""
        return not self.active or len(self.depths) >= options.max_steps

    def best(self, options: SearchOptions) -> Path | None:
        """The best path that has ended, else None."""
        return max(self.ended, key=lambda path: path.score(options.rank), default=None)


@dataclass(frozen=True, slots=True)
class _Expansion:
    number: int
    candidate: Candidate
    path: Path


def candidates_per_path(search: Search, options: SearchOptions) -> list[int]:
    """How many candidates each active path gets: the same number, and one more for the first ones where they do not
    divide."""
    among, rest = divmod(options.candidates, len(search.active))
    return [among + (number < rest) for number in range(len(search.active))]


def advance(search: Search, candidates: Sequence[Candidate], options: SearchOptions) -> Search:
    """The search one depth on. Without a single candidate that has a reward no path is active any more."""
    children = [
        _Expansion(number, candidate, _grown(search.active[candidate.parent], candidate))
        for number, candidate in enumerate(candidates)
        if candidate.reward is not None
    ]
    width_left = options.width - len(search.ended)
    chosen = _chosen(children, width_left, options)
    kept = {child.number for child in chosen}
    depth = tuple(
        msgspec.structs.replace(candidate, kept=number in kept) for number, candidate in enumerate(candidates)
    )
    return Search(
        active=tuple(child.path for child in chosen if not child.candidate.ends),
        ended=(*search.ended, *(child.path for child in chosen if child.candidate.ends)),
        depths=(*search.depths, depth),
    )


def _grown(path: Path, candidate: Candidate) -> Path:
    return Path((*path.steps, candidate.text), (*path.rewards, candidate.reward or 0.0))


def _chosen(children: Sequence[_Expansion], width_left: int, options: SearchOptions) -> list[_Expansion]:
    ranked = sorted(children, key=lambda child: -child.path.score(options.rank))
    if not options.diverse or len({child.candidate.parent for child in ranked}) < 2:
        return ranked[:width_left]
    best: dict[int, _Expansion] = {}
    for child in ranked:
        best.setdefault(child.candidate.parent, child)
    return list(best.values())[:width_left]
