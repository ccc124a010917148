"""Votes of critics on the first wrong step: the most common answer wins, the one seen first among equals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rprm_jobs.types import Verdict


def winner(answers: Sequence[str | None]) -> str | None:
    """The most common answer, as a text; critiques without one (None) do not vote. None without any."""
    counts = Counter(answer for answer in answers if answer is not None)
    return counts.most_common(1)[0][0] if counts else None


def is_decided(answers: Sequence[str | None], left: int) -> bool:
    """Whether no further `left` answers can change the winner."""
    if left <= 0:
        return True
    counts = Counter(answer for answer in answers if answer is not None)
    if not counts:
        return False
    leader, votes = counts.most_common(1)[0]
    order = list(counts)
    # An answer that is new comes last among equals.
    if left > votes:
        return False
    return all(
        count + left < votes or (count + left == votes and order.index(leader) < order.index(answer))
        for answer, count in counts.items()
        if answer != leader
    )


def fewest_to_decide(answers: Sequence[str | None], left: int) -> int:
    """The least number of further answers after which the vote could be decided; 0 when it is."""
    if is_decided(answers, left):
        return 0
    leader = winner(answers) or ""
    for count in range(1, left):
        if is_decided([*answers, *[leader] * count], left - count):
            return count
    return left


def opinions(index: int, n_steps: int) -> Iterator[tuple[int, Verdict]]:
    """What a critique says of which steps: it names `index` as the first wrong one (-1: none is)."""
    right = n_steps if index < 0 else index
    yield from ((step, Verdict.YES) for step in range(right))
    if index >= 0:
        yield index, Verdict.NO
