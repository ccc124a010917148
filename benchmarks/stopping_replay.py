"""Every stopping rule asked about the critiques of one job that sampled all: `python -m benchmarks.stopping_replay`.

`votes.jsonl` of `benchmarks.stopping_live --keep` has P(Yes) and the tokens of ten critiques of each step of 800
held-out solutions. A critique is a function of prompt and number, so a job with another rule samples the first ones of
these, and what it would answer and generate is known without an engine; only what it gives up is not. Plans are fitted
to a pilot of the first `--pilot` steps, which get all ten, as a job with nothing else in flight does. `contexts` have a
prior for each of 75 cells (`benchmarks.stopping_votes`): the reward before, earlier calls of wrong, and the step's
place; fitted to the other half of the solutions, without a pilot, and their steps judged one after the other.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks import harness
from benchmarks.stopping_live import interval, score
from rprm_jobs.stopping import NO_CONTEXT, StoppingRule, make_rule
from rprm_jobs.stopping.fit import fit_prior, fit_wrong
from rprm_jobs.stopping.prior import whole_votes
from rprm_jobs.types import Critique, Finish, Verdict

_K, _THRESHOLD, _PSEUDO_STEPS = 10, 0.5, 20.0
_PRICES = (30.0, 120.0, 250.0)
Step = Sequence[Critique]
# From a solution's number, a step's place, the rewards of the steps before it: the rule of this step.
RuleOf = Callable[[int, int, Sequence[float]], StoppingRule]


@dataclass(frozen=True)
class Replayed:
    """First errors by solution (-1: none), and critiques, tokens and judged steps of all of them."""

    answers: list[int]
    critiques: int
    tokens: int
    steps: int


def main() -> None:
    """Parse, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("votes", type=Path)
    parser.add_argument("--pilot", type=int, nargs="+", default=[100, 500])
    args = parser.parse_args()
    before = harness.machine()
    rows = [msgspec.json.decode(line) for line in args.votes.read_bytes().splitlines()]
    solutions = [_critiques(row) for row in rows]
    labels = np.array([row["label"] for row in rows])
    ways = dict(_ways(solutions, args.pilot))
    fixed = _replay(solutions, ways["fixed"], ends=False)
    table = {}
    for name, rule_of in ways.items():
        for ends in (False, True):
            replayed = _replay(solutions, rule_of, ends=ends)
            hits, others = (np.array(job.answers) == labels for job in (replayed, fixed))
            low, high = interval(hits, others, labels)
            table[name + ", up to the first error" * ends] = {
                "f1": round(score(hits, labels), 2),
                "f1_beside_fixed": [round(low, 2), round(high, 2)],
                "critiques_a_step": round(replayed.critiques / fixed.steps, 2),
                "tokens_of_fixed": round(replayed.tokens / fixed.tokens, 3),
            }
    asked = {"solutions": len(rows), "steps": fixed.steps, "k": _K, "tokens_of_all": fixed.tokens}
    harness.report("stopping_replay", before, {**asked, "ways": table})


def _critiques(row: Any) -> list[Step]:
    return [
        [
            Critique(step, k, _verdict(p_yes), p_yes, tokens, Finish.STOP, "")
            for k, (p_yes, tokens) in enumerate(zip(votes, counts, strict=True))
        ]
        for step, (votes, counts) in enumerate(zip(row["votes"], row["tokens"], strict=True))
    ]


def _verdict(p_yes: float | None) -> Verdict:
    if p_yes is None:
        return Verdict.UNPARSED
    return Verdict.YES if p_yes >= 0.5 else Verdict.NO


def _ways(solutions: Sequence[Sequence[Step]], pilots: Sequence[int]) -> list[tuple[str, RuleOf]]:
    def same(rule: StoppingRule) -> RuleOf:
        return lambda *_: rule

    fixed = make_rule({"kind": "fixed"}, k=_K, threshold=_THRESHOLD)
    ways = [
        (kind, same(make_rule({"kind": kind}, k=_K, threshold=_THRESHOLD))) for kind in ("fixed", "exact", "adaptive")
    ]
    for pilot in pilots:
        count, steps = 0, list[Step]()
        while len(steps) < pilot:
            steps += solutions[count]
            count += 1
        for price in _PRICES:
            planned = _planned(steps, price)
            ways.append((f"planned, price {price:g}, pilot {pilot}", _after(count, fixed, planned)))
    ways += [(f"planned, price {price:g}, in 75 contexts", _contexts(solutions, price)) for price in _PRICES[:2]]
    return ways


def _after(count: int, fixed: StoppingRule, planned: StoppingRule) -> RuleOf:
    return lambda number, *_: fixed if number < count else planned


def _planned(steps: Sequence[Step], price: float) -> StoppingRule:
    seen = Counter(_yes(step) for step in steps)
    wrong = fit_wrong([sum(c.p_yes or 0.0 for c in step) for step in steps if _all_parsed(step)], _K, _THRESHOLD)
    options = {"kind": "planned", "price": price, "prior": fit_prior(seen, _K), "wrong": wrong}
    return make_rule(options, k=_K, threshold=_THRESHOLD)


def _yes(step: Step) -> tuple[int, int]:
    """Votes, and Yes among them."""
    parsed = [critique.p_yes for critique in step if critique.p_yes is not None]
    return len(parsed), whole_votes(sum(parsed))


def _all_parsed(step: Step) -> bool:
    return all(critique.p_yes is not None for critique in step)


def _contexts(solutions: Sequence[Sequence[Step]], price: float) -> RuleOf:
    """By halves, even and odd numbers; what a cell lacks is as all steps are."""
    rules = [_cells([s for n, s in enumerate(solutions) if n // 2 % 2 != half], price) for half in (0, 1)]
    return lambda number, place, rewards: rules[number // 2 % 2](_cell(place, rewards))


def _cells(solutions: Sequence[Sequence[Step]], price: float) -> Callable[[int], StoppingRule]:
    by_cell: dict[int, list[Step]] = {}
    for steps in solutions:
        rewards: list[float] = []
        for place, step in enumerate(steps):
            by_cell.setdefault(_cell(place, rewards), []).append(step)
            rewards.append(_reward(step))
    everything = [step for steps in by_cell.values() for step in steps]
    common = Counter(_yes(step) for step in everything)
    rules = {}
    for cell in range(75):
        seen = Counter(_yes(step) for step in by_cell.get(cell, ()))
        shrunk = {key: seen[key] + _PSEUDO_STEPS * count / len(everything) for key, count in common.items()}
        options = {"kind": "planned", "price": price, "prior": fit_prior(shrunk, _K)}
        rules[cell] = make_rule(options, k=_K, threshold=_THRESHOLD)
    return rules.__getitem__


def _cell(place: int, rewards: Sequence[float]) -> int:
    share = min(int(5 * rewards[-1]), 4) if rewards else 4
    wrong = sum(reward < _THRESHOLD for reward in rewards)
    return (share * 3 + min(wrong, 2)) * 5 + int(np.searchsorted((0, 2, 5, 9), place))


def _reward(critiques: Step) -> float:
    parsed = [critique.p_yes for critique in critiques if critique.p_yes is not None]
    return sum(parsed) / len(parsed) if parsed else 1.0


def _replay(solutions: Sequence[Sequence[Step]], rule_of: RuleOf, *, ends: bool) -> Replayed:
    answers, critiques, tokens, judged = [], 0, 0, 0
    for number, steps in enumerate(solutions):
        rewards: list[float] = []
        for place, step in enumerate(steps):
            taken = _taken(rule_of(number, place, rewards), step)
            rewards.append(_reward(step[:taken]))
            critiques, tokens, judged = critiques + taken, tokens + sum(c.tokens for c in step[:taken]), judged + 1
            if ends and rewards[-1] < _THRESHOLD:
                break
        answers.append(next((place for place, reward in enumerate(rewards) if reward < _THRESHOLD), -1))
    return Replayed(answers, critiques, tokens, judged)


def _taken(rule: StoppingRule, step: Step) -> int:
    taken = 0
    while more := rule.more(step[:taken], NO_CONTEXT):
        taken += more
    return taken


if __name__ == "__main__":
    main()
