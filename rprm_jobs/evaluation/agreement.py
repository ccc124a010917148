"""Cohen's kappa: how much more two judges agree than they would by chance, given how often each says what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from typing import TypeVar

T = TypeVar("T", bound=Hashable)


def kappa(pairs: Mapping[tuple[T, T], int]) -> float | None:
    """Kappa in [-1, 1] of the counted pairs of calls; None without pairs, or where both always say the same one thing.

    With p the share of equal pairs and q that expected of the two margins: (p - q) / (1 - q) (Cohen, 1960).
    """
    total = sum(pairs.values())
    if not total:
        return None
    firsts, seconds = Counter[T](), Counter[T]()
    for (first, second), count in pairs.items():
        firsts[first] += count
        seconds[second] += count
    # Whole numbers, so that perfect chance agreement is seen exactly.
    expected = sum(firsts[call] * seconds[call] for call in firsts)
    if expected == total * total:
        return None
    agreed = sum(count for (first, second), count in pairs.items() if first == second)
    return (agreed * total - expected) / (total * total - expected)
