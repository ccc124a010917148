"""The careless solver: problems that a small model can work, and errors of every kind in the share asked for."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from training.careless import LARGEST, draw_careless
from training.world import ERROR_KINDS, ChainSolution, Claim, apply


def wrong_steps(solution: ChainSolution) -> list[int]:
    """Found from the claims alone: a step that does not do what was asked, from where the one before left it."""
    wrong = []
    for index, (claim, asked) in enumerate(zip(solution.claims, solution.instructions, strict=True)):
        left = solution.previous(index)
        if claim != Claim(left, asked.op, asked.operand, apply(asked.op, left, asked.operand)):
            wrong.append(index)
    return wrong


@pytest.mark.parametrize("share", [0.0, 0.35, 1.0])
def test_steps_go_wrong_in_the_share_asked_for_and_the_first_is_the_label(share: float) -> None:
    rng = random.Random(1)
    drawn = [draw_careless(rng, share) for _ in range(800)]
    wrong = [wrong_steps(solution) for solution in drawn]
    assert [solution.label for solution in drawn] == [steps[0] if steps else -1 for steps in wrong]
    found = sum(map(len, wrong)) / sum(len(solution.steps) for solution in drawn)
    # A slip that leads out of the range later is drawn again, so a little fewer.
    assert share - 0.06 <= found <= share + 0.03
    kinds = Counter(solution.kind for solution in drawn if solution.label >= 0)
    assert not share or set(kinds) == set(ERROR_KINDS)


def test_every_value_is_small_and_steps_go_on_from_the_one_before() -> None:
    rng = random.Random(2)
    for _ in range(500):
        solution = draw_careless(rng, 0.5)
        assert 3 <= len(solution.steps) <= 7
        assert all(1 <= claim.result <= LARGEST for claim in solution.claims)
        right = solution.start
        for asked in solution.instructions:
            right = apply(asked.op, right, asked.operand)
            assert 1 <= right <= LARGEST
