"""From critiques to rewards: the mean P(Yes) over a step's parsed critiques, and the first step called wrong.

A step without a parsed critique has no reward (None), and its solution is failed with that reason: it is never scored
as if the judge had said something. Sums are exact (`fsum`), so the order in which critiques arrive changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rprm_jobs.types import Critique, ItemStatus, SolutionScore, Verdict
from rprm_jobs.words import counted


@dataclass(frozen=True, slots=True)
class Screened:
    """What a cheaper judge said of a step: P(correct) in [0, 1], and as how many critiques that counts."""

    score: float
    weight: float


def vote(critique: Critique) -> float | None:
    """What the critique adds to the reward, in [0, 1]: its P(Yes), or its verdict where the engine gave none."""
    if not critique.verdict.parsed:
        return None
    if critique.p_yes is not None:
        return critique.p_yes
    return 1.0 if critique.verdict is Verdict.YES else 0.0


def step_reward(critiques: Iterable[Critique], screen: Screened | None = None) -> float | None:
    """Mean over parsed critiques (R-PRM, equation of the step reward), None when none was parsed.

    With a `screen`, its score counts as so many critiques more.
    """
    votes = [v for c in critiques if (v := vote(c)) is not None]
    if screen is None:
        return math.fsum(votes) / len(votes) if votes else None
    return math.fsum([*votes, screen.weight * screen.score]) / (len(votes) + screen.weight)


def screened_steps(scores: Sequence[float | None] | None, weight: float, n_steps: int) -> tuple[Screened | None, ...]:
    """What counts of the screen's scores for each step; None where it gave none, or where `weight` is 0."""
    if scores is None or not weight:
        return (None,) * n_steps
    return tuple(None if score is None else Screened(score, weight) for score in scores)


def rewards_of(
    critiques: Iterable[Critique], n_steps: int, screen: Sequence[Screened | None] | None = None
) -> tuple[float | None, ...]:
    """The reward of every step, from the critiques of all, and from the `screen` of each where one counts."""
    by_step: list[list[Critique]] = [[] for _ in range(n_steps)]
    for critique in critiques:
        by_step[critique.step].append(critique)
    screened = screen or (None,) * n_steps
    return tuple(step_reward(group, score) for group, score in zip(by_step, screened, strict=True))


def first_error(rewards: Sequence[float | None], threshold: float) -> int | None:
    """0-based index of the first reward below `threshold`, -1 when there is none, None when that is unknown.

    It is unknown when a reward is missing that could have been below: one before the first that is, or any when none
    is. Rewards after the first error may be missing, since they cannot change it.
    """
    for index, reward in enumerate(rewards):
        if reward is None:
            return None
        if reward < threshold:
            return index
    return -1


def score_solution(
    ord_: int,
    n_steps: int,
    critiques: Sequence[Critique],
    threshold: float,
    *,
    judged: tuple[int, ...] | None = None,
    screen: Sequence[Screened | None] | None = None,
) -> SolutionScore:
    """Put the critiques of one solution together. FAILED with a reason when a step has no parsed critique.

    Only the steps in `judged` (default: all) count: the others have no reward, and are no failure and no error.
    """
    steps = range(n_steps) if judged is None else judged
    by_step: list[list[Critique]] = [[] for _ in range(n_steps)]
    for critique in sorted(critiques, key=lambda c: (c.step, c.k)):
        by_step[critique.step].append(critique)
    rewards = rewards_of(critiques, n_steps, screen)
    if judged is not None:
        rewards = tuple(reward if step in judged else None for step, reward in enumerate(rewards))
    reason = _missing_reason(rewards, by_step, steps)
    return SolutionScore(
        ord=ord_,
        status=ItemStatus.OK if reason is None else ItemStatus.FAILED,
        rewards=rewards,
        first_error=_first_error_of(rewards, steps, threshold) if reason is None else None,
        critiques=tuple(c for group in by_step for c in group),
        reason=reason,
        judged=judged,
    )


def _first_error_of(rewards: Sequence[float | None], steps: Sequence[int], threshold: float) -> int | None:
    index = first_error([rewards[step] for step in steps], threshold)
    return index if index is None or index < 0 else steps[index]


def _missing_reason(
    rewards: Sequence[float | None], by_step: Sequence[Sequence[Critique]], steps: Sequence[int]
) -> str | None:
    missing = [i for i in steps if rewards[i] is None]
    if not missing:
        return None
    step = missing[0]
    cut = sum(c.verdict is Verdict.TRUNCATED for c in by_step[step])
    more = f" (and {counted(len(missing) - 1, 'more step')})" if len(missing) > 1 else ""
    among = counted(len(by_step[step]), "critique")
    return f"step {step + 1}: no verdict in any of {among}, {cut} cut by the token limit{more}"


def failed_solution(ord_: int, n_steps: int, reason: str, *, judged: tuple[int, ...] | None = None) -> SolutionScore:
    """The record of a solution that could not be judged at all."""
    return SolutionScore(
        ord=ord_,
        status=ItemStatus.FAILED,
        rewards=(None,) * n_steps,
        first_error=None,
        critiques=(),
        reason=reason,
        judged=judged,
    )
