"""Best-of-N: how often the response that rewards or votes pick among N is a correct one.

Every number is the mean over subsets of n of the N responses, which is what makes pass@n the unbiased estimator, and
what lets every way of picking be compared with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from rprm_jobs.errors import InputError
from rprm_jobs.evaluation.answers import final_answer, written_alike
from rprm_jobs.evaluation.picking import AGGREGATIONS, best, most_voted, pass_at, subsets, weights
from rprm_jobs.evaluation.processbench_answers import checked_rewards
from rprm_jobs.words import counted

T = TypeVar("T")
ByN = Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem with N responses, each with its steps, correctness and final answer (None: it states none).

    `rewards` has one reward a step for each response, None where the response has not all of them.
    """

    id: str
    text: str
    responses: tuple[tuple[str, ...], ...]
    correct: tuple[bool, ...]
    answers: tuple[str | None, ...]
    rewards: tuple[tuple[float, ...] | None, ...]

    @property
    def whole_rewards(self) -> tuple[tuple[float, ...], ...] | None:
        """The rewards when every response has them all, else None."""
        return complete(self.rewards)


@dataclass(frozen=True, slots=True)
class BestOfNReport:
    """Rates in [0, 1] by n; those that need rewards are over the `n_judged` problems that have all theirs.

    `best_of` and `weighted_majority` are by aggregation first, None when no problem is judged. `without_answer`
    responses state no final answer and cast no vote; `without_reward` responses keep their problem from being judged.
    """

    n_problems: int
    n_judged: int
    pass_at: ByN
    majority: ByN
    best_of: Mapping[str, ByN] | None
    weighted_majority: Mapping[str, ByN] | None
    without_answer: int
    without_reward: int

    def as_json(self) -> dict[str, Any]:
        """Plain JSON types; every `pass@n` stands at the top."""
        return {
            "n_problems": self.n_problems,
            "n_judged": self.n_judged,
            **{f"pass@{n}": value for n, value in self.pass_at.items()},
            "majority": _by_n(self.majority),
            "best_of": self.best_of and {name: _by_n(values) for name, values in self.best_of.items()},
            "weighted_majority": self.weighted_majority
            and {name: _by_n(values) for name, values in self.weighted_majority.items()},
            "without_answer": self.without_answer,
            "without_reward": self.without_reward,
        }


def _by_n(values: ByN) -> dict[str, float]:
    return {str(n): value for n, value in values.items()}


def read_problem(row: Mapping[str, Any]) -> Problem:
    """One row with `id`, `responses`, `labels` and maybe `rewards`. Raises InputError with what is wrong."""
    id_, responses, labels = row.get("id"), row.get("responses"), row.get("labels")
    if type(id_) not in (str, int) or id_ == "":
        raise InputError("the row has no id")
    if type(responses) is not list or not responses or not all(map(_is_steps, responses)):
        raise InputError("responses is not a list of responses, each a list of steps")
    n = len(responses)
    if type(labels) is not list or len(labels) != n or not all(type(label) is bool for label in labels):
        raise InputError(f"labels is not a list of {n} booleans, one for each response")
    rewards = row.get("rewards") or [None] * n
    if type(rewards) is not list or len(rewards) != n:
        raise InputError(f"rewards is not a list of {n} lists, one for each response")
    return Problem(
        id=str(id_),
        text=str(row.get("problem", "")),
        responses=tuple(map(tuple, responses)),
        correct=tuple(labels),
        answers=_answers(row.get("final_answers"), responses),
        rewards=tuple(map(_rewards, rewards, responses)),
    )


def _is_steps(value: Any) -> bool:
    return type(value) is list and bool(value) and all(type(step) is str for step in value)


def _answers(stated: Any, responses: Sequence[Sequence[str]]) -> tuple[str | None, ...]:
    if stated is None:
        answers = (final_answer("\n".join(steps)) for steps in responses)
        return tuple(answer and written_alike(answer) for answer in answers)
    if type(stated) is not list or len(stated) != len(responses):
        raise InputError(f"final_answers is not a list of {len(responses)} answers, one for each response")
    if not all(answer is None or type(answer) is str for answer in stated):
        raise InputError("final_answers holds something that is neither a text nor null")
    return tuple(stated)


def _rewards(value: Any, steps: Sequence[str]) -> tuple[float, ...] | None:
    return None if value is None else complete(checked_rewards(value, len(steps)))


def complete(values: Sequence[T | None]) -> tuple[T, ...] | None:
    """The values when none is missing, else None."""
    known = tuple(value for value in values if value is not None)
    return known if len(known) == len(values) else None


def evaluate(problems: Sequence[Problem], ns: Sequence[int], *, seed: int = 0) -> BestOfNReport:
    """Every measure at every n. Raises InputError when there is no problem or one has too few responses."""
    _check(problems, ns)
    judged = [problem for problem in problems if problem.whole_rewards is not None]
    with_one = sorted({1, *ns})
    return BestOfNReport(
        n_problems=len(problems),
        n_judged=len(judged),
        pass_at={n: _mean(pass_at(n, sum(p.correct), len(p.correct)) for p in problems) for n in with_one},
        majority=_share(problems, ns, seed, lambda p: _voter(p.answers, [1.0] * len(p.answers))),
        best_of={name: _share(judged, ns, seed, _ranker(name)) for name in AGGREGATIONS} if judged else None,
        weighted_majority={name: _share(judged, ns, seed, _weigher(name)) for name in AGGREGATIONS} if judged else None,
        without_answer=sum(answer is None for problem in problems for answer in problem.answers),
        without_reward=sum(rewards is None for problem in problems for rewards in problem.rewards),
    )


def _check(problems: Sequence[Problem], ns: Sequence[int]) -> None:
    if not problems:
        raise InputError("there is no problem to evaluate", hint="give one JSON object a line, with responses")
    if not ns or min(ns) < 1:
        raise InputError("n must be at least 1", hint="for example --n 1,2,4,8")
    short = min(problems, key=lambda problem: len(problem.responses))
    if len(short.responses) < max(ns):
        raise InputError(
            f"problem {short.id!r} has {counted(len(short.responses), 'response')}, too few for n={max(ns)}",
            hint=f"choose a smaller one: --n {','.join(map(str, _powers(len(short.responses))))}",
        )


def _powers(most: int) -> list[int]:
    """1, 2, 4 ... up to `most`."""
    return [2**power for power in range(most.bit_length())] or [1]


_Pick = Callable[[Sequence[int]], int | None]


def _voter(answers: Sequence[str | None], weight: Sequence[float]) -> _Pick:
    return lambda among: most_voted(answers, weight, among)


def _ranker(aggregation: str) -> Callable[[Problem], _Pick]:
    def of(problem: Problem) -> _Pick:
        scores = _scores(problem, aggregation)
        return lambda among: best(scores, among)

    return of


def _weigher(aggregation: str) -> Callable[[Problem], _Pick]:
    return lambda problem: _voter(problem.answers, weights(aggregation, _scores(problem, aggregation)))


def _scores(problem: Problem, aggregation: str) -> list[float]:
    return [AGGREGATIONS[aggregation](rewards) for rewards in problem.whole_rewards or ()]


def _share(problems: Sequence[Problem], ns: Sequence[int], seed: int, picker: Callable[[Problem], _Pick]) -> ByN:
    """By n, how often the pick is a correct response."""
    picks = [(problem, picker(problem)) for problem in problems]
    return {n: _mean(_correct(problem, pick, n, seed) for problem, pick in picks) for n in ns}


def _correct(problem: Problem, pick: _Pick, n: int, seed: int) -> float:
    drawn = subsets(len(problem.responses), n, seed)
    picked = (pick(among) for among in drawn)
    return sum(index is not None and problem.correct[index] for index in picked) / len(drawn)


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return math.fsum(known) / len(known)
