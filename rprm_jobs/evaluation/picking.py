"""Picking one of N responses: by the best reward, by votes, or by votes that rewards weigh. The first maximum wins."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

_MOST_SUBSETS = 2000


def _log(reward: float) -> float:
    return math.log(reward) if reward > 0 else -math.inf


def log_product(rewards: Sequence[float]) -> float:
    """The logarithm of the product: long solutions would underflow to ties at 0."""
    return math.fsum(map(_log, rewards))


def geometric_mean(rewards: Sequence[float]) -> float:
    """The n-th root of the product of n rewards; 0 when one of them is."""
    return math.exp(log_product(rewards) / len(rewards))


def mean(rewards: Sequence[float]) -> float:
    """The plain mean."""
    return math.fsum(rewards) / len(rewards)


def last(rewards: Sequence[float]) -> float:
    """The reward of the last step."""
    return rewards[-1]


# From the rewards of a response's steps (at least one, each in [0, 1]) to what it is ranked by.
AGGREGATIONS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "min": min,
    "last": last,
    "mean": mean,
    "product": log_product,
    "geometric_mean": geometric_mean,
}


def weights(aggregation: str, scores: Sequence[float]) -> list[float]:
    """What each response's vote weighs: its score, or the product itself relative to the problem's largest one."""
    if AGGREGATIONS[aggregation] is not log_product:
        return list(scores)
    top = max(scores)
    return [math.exp(score - top) if score > -math.inf else 0.0 for score in scores]


def best(scores: Sequence[float], among: Sequence[int]) -> int:
    """The response with the highest score."""
    return max(among, key=scores.__getitem__)


def most_voted(answers: Sequence[str | None], weight: Sequence[float], among: Sequence[int]) -> int | None:
    """The first response with the answer of the most weight; one without an answer has no vote. None: none has."""
    totals: dict[str, float] = {}
    first: dict[str, int] = {}
    for index in among:
        answer = answers[index]
        if answer is not None:
            totals[answer] = totals.get(answer, 0.0) + weight[index]
            first.setdefault(answer, index)
    return first[max(totals, key=totals.__getitem__)] if totals else None


def pass_at(n: int, correct: int, total: int) -> float:
    """Probability that `n` of `total` responses, drawn without replacement, hold one of the `correct` ones."""
    return 1.0 - math.comb(total - correct, n) / math.comb(total, n)


def subsets(total: int, n: int, seed: int) -> list[tuple[int, ...]]:
    """All ways to take `n` of `total` in order, or 2,000 seeded ones where there are more."""
    if math.comb(total, n) <= _MOST_SUBSETS:
        return list(combinations(range(total), n))
    rng = random.Random(seed)
    return [tuple(sorted(rng.sample(range(total), n))) for _ in range(_MOST_SUBSETS)]
