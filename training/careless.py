"""A solver that knows its sums and slips all the same: the worked solutions from which the tiny policy learns.

Its problems stay between 1 and 99. A small model learns sums of that size by heart, so what the policy gets wrong is
what this solver does: any of the world's kinds of error, at any step, more than one in a solution. A policy that errs
where its sums are too large for it errs in results alone, which is not what choosing among solutions is about.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from training.world import (
    CORRUPTERS,
    ERROR_KINDS,
    ChainSolution,
    Claim,
    ErrorKind,
    Instruction,
    draw_instructions,
    true_claim,
    written,
)

LARGEST = 99


def draw_careless(rng: random.Random, share: float) -> ChainSolution:
    """Draw a problem of 3 to 7 steps, worked with an error of a random kind in about `share` (0 to 1) of its steps.

    Steps go on consistently from what the one before states; `label` and `kind` tell of the first error.
    """
    while True:
        start = rng.randint(2, LARGEST)
        instructions = draw_instructions(rng, start, rng.randint(3, 7), LARGEST)
        worked = _work(rng, start, instructions, share)
        if worked is not None:
            claims, kinds = worked
            label = next((index for index, kind in enumerate(kinds) if kind), -1)
            return written(rng, start, instructions, claims, label, kinds[label] if label >= 0 else None)


def _work(
    rng: random.Random, start: int, instructions: Sequence[Instruction], share: float
) -> tuple[tuple[Claim, ...], list[ErrorKind | None]] | None:
    """The claims and what is wrong with each, or None when a true value leaves the range after an error."""
    value, claims, kinds = start, list[Claim](), list[ErrorKind | None]()
    others = [instruction.operand for instruction in instructions]
    for instruction in instructions:
        true = true_claim(value, instruction)
        if not 1 <= true.result <= LARGEST:
            return None
        slip, kind = _slip(rng, true, others) if rng.random() < share else (true, None)
        claims.append(slip)
        kinds.append(kind)
        value = slip.result
    return tuple(claims), kinds


def _slip(rng: random.Random, true: Claim, others: Sequence[int]) -> tuple[Claim, ErrorKind]:
    while True:
        kind = rng.choice(ERROR_KINDS)
        slip = CORRUPTERS[kind](rng, true, others)
        if slip is not None and 1 <= slip.result <= LARGEST and slip != true:
            return slip, kind
