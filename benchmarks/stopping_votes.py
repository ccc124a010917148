"""Every stopping rule on recorded votes with labels, at two thresholds: `python -m benchmarks.stopping_votes VOTES`.

`rules` is what `rprm-jobs stopping simulate --votes VOTES` prints. `contexts` asks whether a plan should know more of
a step than its votes: the previous step's reward in fifths, earlier calls of wrong (0, 1, 2 and more) and the step's
place in five ranges, 75 cells; or a screen's score in six ranges, of screens drawn as by `benchmarks.cascade_votes`.
The prior of a cell is that of its steps and of 20 more that are spread as all steps are. At run time a rule knows of
earlier steps what a few votes said, so it is fitted to that: to its own run on the half that it is fitted to.

Plans are fitted to one half of the problems and measured on the other, each in turn. `at_changed` are critiques a step
where 0.25% and 1.03% of the calls change, between the prices on either side.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from benchmarks import harness
from rprm_jobs.services.evaluation.simulate_recorded import simulate_recorded
from rprm_jobs.settings import Limits
from rprm_jobs.stopping.planned import plan_at
from rprm_jobs.stopping.recorded import RecordedSolution, read_solution

_K, _PSEUDO_STEPS, _ROUNDS = 10, 20.0, 2
_PRICES = (15.0, 30.0, 60.0, 90.0, 120.0, 180.0, 250.0, 350.0, 500.0, 800.0)
_TARGETS = (0.0025, 0.0103)
_AUCS = (0.8, 0.9, 0.95)
# Screens are mostly sure, so the outer ranges of their scores are narrow.
_EDGES = (0.05, 0.2, 0.5, 0.8, 0.95, 1.0)
_DRAWS = 1000
Array = npt.NDArray[Any]
# The cell of each run's step, from its place, the reward before it, earlier calls of wrong, and the screen's score.
CellsOf = Callable[[int, Array, Array, Array], Array]


@dataclass(frozen=True)
class Votes:
    """Runs through solutions, several orders of votes of each; entries behind a solution's end have `length` to tell.

    `yes[run, step, n]` is how many of the first n votes are Yes.
    """

    yes: Array
    length: Array
    wrong: Array
    problem: Array
    screen: Array


def main() -> None:
    """Parse, simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("votes", type=Path)
    parser.add_argument("--orders", type=int, default=5)
    args = parser.parse_args()
    before = harness.machine()
    solutions = [read_solution(msgspec.json.decode(line)) for line in args.votes.read_bytes().splitlines()]
    halves = _halves(solutions)
    report: dict[str, Any] = {}
    for threshold in (0.5, 0.61):
        report[f"threshold {threshold}"] = {
            **simulate_recorded(str(args.votes), Limits(), k=_K, threshold=threshold, seed=0).as_json(),
            "contexts": _contexts(halves, threshold, args.orders),
        }
    harness.report("stopping_votes", before, report)


def _halves(solutions: Sequence[RecordedSolution]) -> list[list[RecordedSolution]]:
    problems = sorted({str(solution.problem) for solution in solutions})
    random.Random(0).shuffle(problems)
    first = set(problems[: len(problems) // 2])
    return [[s for s in solutions if (str(s.problem) in first) is side] for side in (True, False)]


def _contexts(halves: Sequence[Sequence[RecordedSolution]], threshold: float, orders: int) -> dict[str, Any]:
    plain = [_draw(half, orders, seed, auc=None) for seed, half in enumerate(halves)]
    table = {
        "one prior": _table(plain, _one_cell, 1, threshold),
        "75 contexts": _table(plain, _context_cells, 75, threshold),
    }
    for auc in _AUCS:
        screened = [_draw(half, orders, seed, auc) for seed, half in enumerate(halves)]
        table[f"a screen with AUC {auc}"] = _table(screened, _screen_cells, len(_EDGES), threshold)
    return table


def _one_cell(*_: Any) -> Array:
    return np.zeros(1, int)


def _context_cells(place: int, before: Array, called_wrong: Array, _screen: Array) -> Array:
    share = np.minimum((before * 5).astype(int), 4)
    where = int(np.searchsorted((0, 2, 5, 9), place))
    return (share * 3 + np.minimum(called_wrong, 2)) * 5 + where


def _screen_cells(_place: int, _before: Array, _called_wrong: Array, screen: Array) -> Array:
    return np.minimum(np.searchsorted(_EDGES, screen), len(_EDGES) - 1)


def _draw(solutions: Sequence[RecordedSolution], orders: int, seed: int, auc: float | None) -> Votes:
    rng = np.random.default_rng(seed)
    most = max(len(solution.votes) for solution in solutions)
    names = {name: place for place, name in enumerate(sorted({str(s.problem) for s in solutions}))}
    yes = np.zeros((len(solutions) * orders, most, _K + 1), np.int8)
    wrong = np.zeros(yes.shape[:2], bool)
    for run in range(len(yes)):
        votes = solutions[run % len(solutions)].votes
        cast = rng.permuted(np.array(votes, float), axis=1).astype(np.int8)
        yes[run, : len(votes), 1:] = cast.cumsum(axis=1)
        wrong[run, : len(votes)] = np.array(solutions[run % len(solutions)].wrong, bool)
    length = np.array([len(s.votes) for s in solutions] * orders)
    problem = np.array([names[str(s.problem)] for s in solutions] * orders)
    return Votes(yes, length, wrong, problem, _screen(wrong, length, auc, rng))


def _screen(wrong: Array, length: Array, auc: float | None, rng: np.random.Generator) -> Array:
    """The score of a calibrated screen of this AUC: its logit is normal around a mean that tells right from wrong."""
    if auc is None:
        return np.zeros(wrong.shape)
    distance = NormalDist().inv_cdf(auc) / math.sqrt(2)
    inside = np.arange(wrong.shape[1]) < length[:, None]
    right = float((~wrong & inside).sum() / inside.sum())
    logit = rng.normal(np.where(wrong, -distance, distance))
    return np.asarray(1.0 / (1.0 + np.exp(-(2 * distance * logit + math.log(right / (1 - right))))))


def _table(halves: Sequence[Votes], cells: CellsOf, n_cells: int, threshold: float) -> dict[str, Any]:
    by_price, points = {}, []
    for price in _PRICES:
        runs = [_fitted(halves[1 - i], halves[i], cells, n_cells, threshold, price) for i in (0, 1)]
        taken, changed, steps, counts, full = (sum(values[1:], values[0]) for values in _columns(runs))
        points.append((changed / steps, taken / steps))
        by_price[f"{price:g}"] = {
            "critiques": round(taken / steps, 3),
            "changed_percent": round(100 * changed / steps, 3),
            "score": round(float(_score(counts.sum(axis=0))), 2),
            "difference": _interval(counts, full),
        }
    xs, ys = zip(*sorted(points), strict=True)
    at = {f"{100 * target:g}": round(float(np.interp(target, xs, ys)), 2) for target in _TARGETS}
    return {"by_price": by_price, "at_changed": at}


def _columns(runs: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    """Of both halves; problems of one are none of the other, so their counts stand one below the other."""
    first, second = runs
    sums = [[a, b] for a, b in zip(first[:3], second[:3], strict=True)]
    return [*sums, *([np.concatenate([a, b])] for a, b in zip(first[3:], second[3:], strict=True))]


def _fitted(
    votes: Votes, measured_on: Votes, cells: CellsOf, n_cells: int, threshold: float, price: float
) -> tuple[int, int, int, Array, Array]:
    stop = np.zeros((n_cells, _K + 1, _K + 1), bool)
    stop[:, _K] = True
    for _ in range(_ROUNDS):
        # At first by all ten votes of every step, as a pilot gives them.
        seen = np.zeros((n_cells, _K + 1))
        _run(votes, stop, cells, threshold, seen)
        common = seen.sum(axis=0) / seen.sum()
        for cell, row in enumerate(seen):
            prior = (row + _PSEUDO_STEPS * common) / (row.sum() + _PSEUDO_STEPS)
            plan = plan_at(tuple(prior.tolist()), _K, threshold, price)
            for n in range(1, _K + 1):
                stop[cell, n, : n + 1] = plan.stop[n]
    return _run(measured_on, stop, cells, threshold)


def _run(
    votes: Votes, stop: Array, cells: CellsOf, threshold: float, seen: Array | None = None
) -> tuple[int, int, int, Array, Array]:
    """Critiques, changed calls and steps, and the calls by problem: of the rule, and of all ten votes."""
    runs = len(votes.yes)
    before, called_wrong = np.ones(runs), np.zeros(runs, int)
    counts, full = (np.zeros((votes.problem.max() + 1, 4)) for _ in range(2))
    taken = changed = steps = 0
    for place in range(votes.yes.shape[1]):
        here = np.flatnonzero(votes.length > place)
        yes = votes.yes[here, place]
        cell = np.broadcast_to(cells(place, before[here], called_wrong[here], votes.screen[here, place]), here.shape)
        if seen is not None:
            np.add.at(seen, (cell, yes[:, _K]), 1)
        n = 1 + stop[cell[:, None], np.arange(1, _K + 1), yes[:, 1:]].argmax(axis=1)
        reward = yes[np.arange(len(here)), n] / n
        calls, all_calls = reward < threshold, yes[:, _K] / _K < threshold
        before[here], called_wrong[here] = reward, called_wrong[here] + calls
        taken, changed, steps = taken + int(n.sum()), changed + int((calls != all_calls).sum()), steps + len(here)
        kind = 2 * votes.wrong[here, place]
        np.add.at(counts, (votes.problem[here], kind + calls), 1)
        np.add.at(full, (votes.problem[here], kind + all_calls), 1)
    return taken, changed, steps, counts, full


def _score(counts: Array) -> Array:
    """The mean F1 of right and of wrong steps in percent; columns: right ones called right, wrong; then wrong ones."""
    missed = counts[..., 1] + counts[..., 2]
    return np.asarray(50 * sum(2 * counts[..., i] / (2 * counts[..., i] + missed) for i in (0, 3)))


def _interval(counts: Array, full: Array) -> list[float]:
    """The paired 95% interval, over resampled problems, of the difference from the score of all ten votes."""
    n = len(counts)
    weights = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), _DRAWS)
    low, high = np.percentile(_score(weights @ counts) - _score(weights @ full), [2.5, 97.5])
    return [round(float(low), 2), round(float(high), 2)]


if __name__ == "__main__":
    main()
