"""Stopping rules replayed on recorded votes; planned ones fitted to the same votes, and to half of the problems."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rprm_jobs.errors import InputError
from rprm_jobs.services.evaluation.benchmark_rows import BadRows, parse_rows
from rprm_jobs.services.evaluation.simulate import Line, Simulation, bounds, bounds_by_context, named, planned, unfitted
from rprm_jobs.services.evaluation.simulated_score import ScoreCounter
from rprm_jobs.settings import Limits
from rprm_jobs.stopping import StepContext, make_rule
from rprm_jobs.stopping.cells import cell_of
from rprm_jobs.stopping.fit import Seen, fit_cells, fit_prior, fit_wrong
from rprm_jobs.stopping.prior import whole_votes
from rprm_jobs.stopping.recorded import RecordedSolution, read_solution
from rprm_jobs.stopping.simulate import SimulatedCost, Votes, mean_vote, on_votes
from rprm_jobs.words import counted

_ORDERS = 10

Solutions = Sequence[RecordedSolution]


def simulate_recorded(
    path: str, limits: Limits, *, k: int | None = None, threshold: float = 0.5, seed: int = 0
) -> Simulation:
    """On recorded votes, each step's in several random orders. Raises InputError for rows that hold none."""
    solutions, size, left_out = _read_votes(path, limits, k)
    replay = _Replay(solutions, size, threshold, seed)
    halves = _halves(solutions, seed)
    lines = [replay.line(options) for options in unfitted()]
    for bound in (*bounds(), *bounds_by_context()):
        lines.append(replay.line(_fitted(solutions, size, threshold, bound), "the same votes"))
        if halves is not None:
            lines.append(replay.crossed(halves, bound))
    return Simulation(size, threshold, sum(len(solution.votes) for solution in solutions), left_out, tuple(lines))


class _Replay:
    """Runs rules over the same solutions, and counts what they do to the score where there are labels."""

    def __init__(self, solutions: Solutions, k: int, threshold: float, seed: int) -> None:
        self._solutions, self._k, self._threshold, self._seed = solutions, k, threshold, seed
        self._full = [[mean_vote(votes) for votes in solution.votes] for solution in solutions]

    def line(self, options: Mapping[str, Any], fitted_to: str = "") -> Line:
        """One rule over all solutions."""
        counter = self._counter()
        cost = self._run(options, range(len(self._solutions)), counter)
        return Line(named(options), cost, fitted_to, counter.score(self._seed))

    def crossed(self, halves: tuple[Sequence[int], Sequence[int]], bound: Mapping[str, Any]) -> Line:
        """Each half under the rule that is fitted to the other one."""
        counter, costs = self._counter(), []
        options: dict[str, Any] = {}
        for half, other in (halves, halves[::-1]):
            options = _fitted([self._solutions[i] for i in other], self._k, self._threshold, bound)
            costs.append((self._run(options, half, counter), [self._solutions[i] for i in half]))
        return Line(named(options), _pooled(costs), "the other half", counter.score(self._seed))

    def _counter(self) -> ScoreCounter:
        return ScoreCounter(self._solutions, self._full, self._threshold)

    def _run(self, options: Mapping[str, Any], places: Sequence[int], counter: ScoreCounter) -> SimulatedCost:
        return on_votes(
            make_rule(options, k=self._k, threshold=self._threshold),
            [self._solutions[place].votes for place in places],
            self._threshold,
            orders=_ORDERS,
            seed=self._seed,
            observe=lambda index, rewards: counter.add(places[index], rewards),
        )


def _fitted(to: Solutions, k: int, threshold: float, bound: Mapping[str, Any]) -> dict[str, Any]:
    prior = fit_prior(_seen(step for solution in to for step in solution.votes), k)
    fitted = planned(prior, bound, fit_wrong(_sums(to, k), k, threshold))
    return {**fitted, "priors": _priors(to, prior, k, threshold)} if bound.get("by_context") else fitted


def _priors(to: Solutions, prior: Sequence[float], k: int, threshold: float) -> list[Sequence[float]]:
    """By contexts as all votes have them, which is what a job's pilot sees."""
    steps: dict[int, list[Votes]] = {}
    for solution in to:
        rewards = tuple(mean_vote(step) for step in solution.votes)
        for place, step in enumerate(solution.votes):
            steps.setdefault(cell_of(StepContext(place, rewards[:place]), threshold), []).append(step)
    return list(fit_cells({cell: _seen(votes) for cell, votes in steps.items()}, prior, k))


def _read_votes(path: str, limits: Limits, k: int | None) -> tuple[Solutions, int, int]:
    """The solutions' steps cut to `k` critiques (default: the most that a step has), k, and the steps left out."""
    bad = BadRows()
    rows = [solution for _, solution in parse_rows([path], limits, read_solution, bad)]
    bad.check("take a job's own rows: rprm-jobs results 7 --critiques -o votes.jsonl")
    size = k or max((len(step) for solution in rows for step in solution.votes), default=0)
    kept = [cut for solution in rows if (cut := _cut(solution, size)).votes]
    if not kept:
        most = max((len(step) for solution in rows for step in solution.votes), default=0)
        what = f"no step has {counted(size, 'critique')}" if most else "no step has a critique"
        hint = f"a step has {most} at most: -k {most}" if most else "take the rows of a job that is done"
        raise InputError(what, where=path, hint=hint)
    return kept, size, sum(len(solution.votes) for solution in rows) - sum(len(solution.votes) for solution in kept)


def _cut(solution: RecordedSolution, size: int) -> RecordedSolution:
    """The steps that have `size` critiques, with the first so many."""
    whole = [place for place, step in enumerate(solution.votes) if size and len(step) >= size]
    return RecordedSolution(
        [solution.votes[i][:size] for i in whole], [solution.wrong[i] for i in whole], solution.problem
    )


def _halves(solutions: Solutions, seed: int) -> tuple[list[int], list[int]] | None:
    """Two random halves, as places; None of a single problem. Whole problems, since the steps of one are alike."""
    problems: dict[object, list[int]] = {}
    for place, solution in enumerate(solutions):
        problems.setdefault(place if solution.problem is None else solution.problem, []).append(place)
    order = random.Random(seed).sample(list(problems.values()), len(problems))
    middle = len(order) // 2
    if not middle:
        return None
    return [i for places in order[:middle] for i in places], [i for places in order[middle:] for i in places]


def _seen(steps: Iterable[Votes]) -> Seen:
    parsed = [[vote for vote in step if vote is not None] for step in steps]
    return Counter((len(votes), whole_votes(math.fsum(votes))) for votes in parsed)


def _sums(solutions: Solutions, k: int) -> Iterator[float]:
    """The sums of the steps of which every critique was parsed."""
    for solution in solutions:
        for step in solution.votes:
            parsed = [vote for vote in step if vote is not None]
            if len(parsed) == k:
                yield math.fsum(parsed)


def _pooled(parts: Sequence[tuple[SimulatedCost, Solutions]]) -> SimulatedCost:
    steps = [sum(len(solution.votes) for solution in solutions) for _, solutions in parts]
    wholes = [len(solutions) for _, solutions in parts]

    def mean(values: Sequence[float], weights: Sequence[int]) -> float:
        return math.fsum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)

    return SimulatedCost(
        mean([outcome.critiques for outcome, _ in parts], steps),
        mean([outcome.changed for outcome, _ in parts], steps),
        mean([outcome.changed_solutions or 0.0 for outcome, _ in parts], wholes),
    )
