"""What a rule costs and which calls it changes, without a judge: on a histogram of votes, or on recorded ones.

The very objects that workers ask are asked here. A call is changed when it is not the one that all K critiques give.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rprm_jobs.aggregation import first_error
from rprm_jobs.errors import ConfigError
from rprm_jobs.stopping.context import NO_CONTEXT, StepContext
from rprm_jobs.stopping.prior import drawn, normalised
from rprm_jobs.stopping.rule import StoppingRule
from rprm_jobs.types import Critique, Finish, Verdict

Votes = Sequence[float | None]
Rewards = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class SimulatedCost:
    """`critiques`: mean sampled per step. `changed`: fraction in [0, 1] of steps whose call is another one.

    `changed_solutions` is the fraction of solutions whose first error is another one; None on a histogram.
    """

    critiques: float
    changed: float
    changed_solutions: float | None = None


def critique_of(k: int, vote: float | None) -> Critique:
    """A critique with this vote (P(Yes) in [0, 1]), or one that has no verdict where it is None."""
    verdict = Verdict.UNPARSED if vote is None else Verdict.YES if vote >= 0.5 else Verdict.NO
    return Critique(0, k, verdict, vote, 0, Finish.STOP, "")


def on_histogram(rule: StoppingRule, weights: Sequence[float], threshold: float) -> SimulatedCost:
    """The exact expectation over steps with K votes of which `weights[y]` (a fraction) have y Yes, in random order."""
    k = len(weights) - 1
    cost = changed = 0.0
    wanted: dict[tuple[int, int], int] = {}
    for yes, weight in enumerate(normalised(weights)):
        for (n, y), chance in _left_at(rule, k, yes, wanted).items():
            cost += weight * chance * n
            changed += weight * chance * ((y / n < threshold) is not (yes / k < threshold))
    return SimulatedCost(cost, changed)


def _left_at(
    rule: StoppingRule, k: int, yes: int, wanted: dict[tuple[int, int], int]
) -> Mapping[tuple[int, int], float]:
    """With what chance a step with `yes` Yes among its `k` votes is left at (votes, Yes)."""
    reached = {(0, 0): 1.0}
    left: dict[tuple[int, int], float] = {}
    # A rule only adds critiques, so states are settled in the order of their votes.
    for n in range(k + 1):
        for state in [key for key in reached if key[0] == n]:
            chance, y = reached.pop(state), state[1]
            more = wanted.setdefault(state, _ask(rule, _votes(n, y), k))
            if more == 0:
                left[state] = chance
                continue
            for more_yes in range(more + 1):
                step = drawn(k - n, yes - y, more, more_yes)
                if step:
                    key = (n + more, y + more_yes)
                    reached[key] = reached.get(key, 0.0) + chance * step
    return left


def _votes(n: int, y: int) -> list[Critique]:
    return [critique_of(i, 1.0 if i < y else 0.0) for i in range(n)]


def _ask(rule: StoppingRule, critiques: Sequence[Critique], k: int, context: StepContext = NO_CONTEXT) -> int:
    more = rule.more(critiques, context)
    if not 0 <= more <= k - len(critiques) or (more == 0 and not critiques):
        raise ConfigError(
            f"the rule asks for {more} more critiques of a step that has {len(critiques)} of at most {k}",
            hint="simulate it with the k that it was made for",
        )
    return more


def on_votes(
    rule: StoppingRule,
    solutions: Sequence[Sequence[Votes]],
    threshold: float,
    *,
    orders: int = 20,
    seed: int = 0,
    observe: Callable[[int, Rewards], None] = lambda _index, _rewards: None,
) -> SimulatedCost:
    """Replay recorded votes, as [solution][step][critique], each step's in `orders` random orders.

    Every step must have the same number of critiques, K. A step whose critiques are all unparsed has no call to change;
    it counts in the cost. `observe` is given each order's rewards, with the index of their solution.
    """
    rng, ask = random.Random(seed), _Asker(rule)
    spent = changed = steps = changed_solutions = 0
    for index, solution in enumerate(solutions):
        full = [mean_vote(votes) for votes in solution]
        for _ in range(orders):
            taken, rewards = list[Votes](), list[float | None]()
            for position, votes in enumerate(solution):
                earlier = tuple(rewards) if rule.in_order else ()
                taken.append(ask.replay(rng.sample(votes, len(votes)), StepContext(position, earlier)))
                rewards.append(mean_vote(taken[-1]))
            spent += sum(map(len, taken))
            changed += sum(_call(a, threshold) is not _call(b, threshold) for a, b in zip(full, rewards, strict=True))
            changed_solutions += first_error(full, threshold) != first_error(rewards, threshold)
            observe(index, rewards)
        steps += len(solution)
    if not steps:
        raise ConfigError("there is no step to simulate", hint="give recorded votes of at least one step")
    runs = steps * orders
    return SimulatedCost(spent / runs, changed / runs, changed_solutions / (len(solutions) * orders))


class _Asker:
    """Asks the rule, once for every state of whole votes in a context: of those there are few."""

    def __init__(self, rule: StoppingRule) -> None:
        self._rule = rule
        self._answers: dict[tuple[int, int, int, int, StepContext], int] = {}

    def replay(self, votes: Votes, context: StepContext) -> Votes:
        """The first votes of these, up to where the rule stops."""
        whole = all(vote in (0.0, 1.0, None) for vote in votes)
        taken = 0
        while more := self._more(votes, taken, whole, context):
            taken += more
        return votes[:taken]

    def _more(self, votes: Votes, taken: int, whole: bool, context: StepContext) -> int:
        seen = votes[:taken]
        if not whole:
            return _ask(self._rule, _critiques(seen), len(votes), context)
        key = (len(votes), taken, seen.count(1.0), seen.count(None), context)
        if key not in self._answers:
            self._answers[key] = _ask(self._rule, _critiques(seen), len(votes), context)
        return self._answers[key]


def _critiques(votes: Votes) -> list[Critique]:
    return [critique_of(k, vote) for k, vote in enumerate(votes)]


def mean_vote(votes: Votes) -> float | None:
    """The reward that these votes give, None without any verdict."""
    parsed = [vote for vote in votes if vote is not None]
    return math.fsum(parsed) / len(parsed) if parsed else None


def _call(reward: float | None, threshold: float) -> bool | None:
    return None if reward is None else reward < threshold
