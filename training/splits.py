"""Which generated solutions are for what: training, held-out evaluation, the shipped examples. Seeds never overlap.

`python -m training.splits examples --count 24` prints a split as JSONL in ProcessBench's form; of `problems` it prints
the problems alone, with their answers, for a policy to solve.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from training.careless import draw_careless
from training.world import ChainSolution, apply, draw_scrambled, draw_solution

SEEDS = {"held-out": 20_001, "examples": 30_001, "benchmark": 40_001, "problems": 50_001}
TRAINING_SEED = 1
# Of the base's second stage, the cold start, the preferences, the policy, and the critic of whole solutions.
CLOSING_SEED, COLD_SEED, META_SEED, POLICY_SEED, CRITIC_SEED = 2, 3, 4, 5, 7
_WRONG_SHARE = 0.5
# The first examples, from which format and copying are learnt, hold single errors; after them half are scrambled.
# A multiple of the pools in which training sorts its examples.
PLAIN_EXAMPLES = 48_128
_SCRAMBLED_SHARE = 0.5
# Of the training examples that judge a correct step, this share comes from solutions with an error elsewhere.
_ERROR_ELSEWHERE = 0.3


@dataclass(frozen=True, slots=True)
class LabelledSplit:
    """One training example: judge step `index` (0-based) of `solution`."""

    solution: ChainSolution
    index: int


def draw_split(name: str, count: int) -> list[ChainSolution]:
    """The first `count` solutions of a split, right and wrong ones in turn."""
    rng = random.Random(SEEDS[name])
    if name == "problems":
        # Those that the tiny policy can work, all of them right: a problem is given with its answer.
        return [draw_careless(rng, 0) for _ in range(count)]
    return [draw_solution(rng, wrong=number % 2 == 0) for number in range(count)]


def training_stream(seed: int = TRAINING_SEED, *, plain: int = PLAIN_EXAMPLES) -> Iterator[LabelledSplit]:
    """Endless examples: half of the plain ones judge a wrong step, so that each kind of error is learnt.

    The first `plain` of them hold no scrambled steps.
    """
    if seed in SEEDS.values():
        raise ValueError(f"seed {seed} is kept for evaluation")
    rng = random.Random(seed)
    for number in itertools.count():
        if number >= plain and rng.random() < _SCRAMBLED_SHARE:
            solution = draw_scrambled(rng)
            yield LabelledSplit(solution, len(solution.steps) - 1)
        else:
            yield _plain(rng)


def _plain(rng: random.Random) -> LabelledSplit:
    if rng.random() < _WRONG_SHARE:
        solution = draw_solution(rng, wrong=True)
        return LabelledSplit(solution, solution.label)
    solution = draw_solution(rng, wrong=rng.random() < _ERROR_ELSEWHERE)
    return LabelledSplit(solution, rng.choice([i for i in range(len(solution.steps)) if i != solution.label]))


def as_row(name: str, number: int, solution: ChainSolution) -> dict[str, Any]:
    """A solution as a line of input: ProcessBench's fields, and what kind of error it holds as metadata."""
    return {
        "id": f"{name}-{number:04d}",
        "problem": solution.problem,
        "steps": list(solution.steps),
        "label": solution.label,
        "error_kind": solution.kind or "none",
        "generator": "arithmetic-chains",
    }


def as_problem(name: str, number: int, solution: ChainSolution) -> dict[str, Any]:
    """The problem alone as a line of input for `rprm-jobs rollout`, with its correct answer."""
    value = solution.start
    for asked in solution.instructions:
        value = apply(asked.op, value, asked.operand)
    return {"id": f"{name}-{number:04d}", "problem": solution.problem, "answer": str(value)}


def main() -> None:
    """Print a split as JSONL."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("split", choices=sorted(SEEDS))
    parser.add_argument("--count", type=int, default=400)
    options = parser.parse_args()
    for number, solution in enumerate(draw_split(options.split, options.count)):
        row = as_problem if options.split == "problems" else as_row
        print(json.dumps(row(options.split, number, solution)))


if __name__ == "__main__":
    main()
