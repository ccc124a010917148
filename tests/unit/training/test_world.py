"""The generated world: an independent checker recomputes every chain from the texts alone."""

from __future__ import annotations

import random
import re

import pytest

from training.splits import SEEDS, as_row, draw_split, training_stream
from training.world import ERROR_KINDS, ChainSolution, draw_scrambled, draw_solution

_TRUE = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}
_WORDS = {"add": "+", "plus": "+", "subtract": "-", "minus": "-", "multiply by": "*", "times": "*"}
_ASKED = re.compile(r"(add|plus|subtract|minus|multiply by|times) (\d+) \(([a-g])\)")


def first_error_by_text(problem: str, steps: tuple[str, ...]) -> int:
    """The first wrong step, found by reading the words and computing with Python."""
    value = int(re.search(r" (\d+);", problem).group(1))  # type: ignore[union-attr]
    asked = _ASKED.findall(problem)
    assert [tag for _, _, tag in asked] == list("abcdefg"[: len(asked)])
    for index, (step, (word, operand, _)) in enumerate(zip(steps, asked, strict=False)):
        left, op, right, result = re.search(r"(\d+)([-+*])(\d+)=(\d+)\.$", step).groups()  # type: ignore[union-attr]
        right_result = _TRUE[op](int(left), int(right))
        if (int(left), op, int(right)) != (value, _WORDS[word], int(operand)) or right_result != int(result):
            return index
        value = int(result)
    return -1


@pytest.mark.parametrize("wrong", [True, False])
def test_labels_are_what_an_independent_checker_finds(wrong: bool) -> None:
    rng = random.Random(5)
    for _ in range(3000):
        solution = draw_solution(rng, wrong=wrong)
        assert first_error_by_text(solution.problem, solution.steps) == solution.label
        assert (solution.label >= 0) is wrong
        assert (solution.kind is not None) is wrong


def test_the_chain_goes_on_consistently_after_the_error() -> None:
    rng = random.Random(6)
    for _ in range(1000):
        solution = draw_solution(rng, wrong=True)
        later = range(solution.label + 1, len(solution.steps))
        assert all(solution.claims[index].left == solution.claims[index - 1].result for index in later)


def test_every_value_is_in_range_and_every_length_occurs() -> None:
    rng = random.Random(7)
    drawn = [draw_solution(rng, wrong=number % 2 == 0) for number in range(2000)]
    values = [value for s in drawn for claim in s.claims for value in (claim.left, claim.right, claim.result)]
    assert min(values) >= 1
    assert max(values) <= 999
    assert {len(solution.steps) for solution in drawn} == {3, 4, 5, 6, 7}


def test_kinds_of_error_are_balanced() -> None:
    rng = random.Random(8)
    kinds = [draw_solution(rng, wrong=True).kind for _ in range(4000)]
    assert all(850 < kinds.count(kind) < 1150 for kind in ERROR_KINDS)


def test_each_kind_breaks_only_its_own_part() -> None:
    rng = random.Random(9)
    for _ in range(2000):
        solution = draw_solution(rng, wrong=True)
        claim, asked = solution.claims[solution.label], solution.instructions[solution.label]
        broken = {
            "previous": claim.left != solution.previous(solution.label),
            "operation": claim.op != asked.op,
            "operand": claim.right != asked.operand,
            "result": claim.result != _TRUE[claim.op](claim.left, claim.right),
        }
        assert [kind for kind, is_broken in broken.items() if is_broken] == [solution.kind]


def test_scrambled_steps_are_labelled_by_the_same_checker() -> None:
    rng = random.Random(10)
    for _ in range(2000):
        solution = draw_scrambled(rng)
        assert first_error_by_text(solution.problem, solution.steps) == solution.label
        assert solution.label in (-1, len(solution.steps) - 1)


def test_in_scrambled_steps_copying_the_step_is_often_wrong() -> None:
    rng = random.Random(11)
    drawn = [draw_scrambled(rng) for _ in range(2000)]
    last = [(solution, len(solution.steps) - 1) for solution in drawn]
    misleading = [
        sum(solution.claims[at].right != solution.instructions[at].operand for solution, at in last),
        sum(solution.claims[at].op != solution.instructions[at].op for solution, at in last),
        sum(solution.claims[at].left != solution.previous(at) for solution, at in last),
    ]
    assert all(count > 600 for count in misleading)


def test_the_same_seed_draws_the_same_solutions() -> None:
    assert draw_split("held-out", 20) == draw_split("held-out", 20)
    assert draw_split("held-out", 20) != draw_split("examples", 20)


def test_splits_share_no_problem_with_each_other_or_with_training() -> None:
    held_out = {solution.problem for solution in draw_split("held-out", 400)}
    examples = {solution.problem for solution in draw_split("examples", 24)}
    stream = training_stream()
    trained = {next(stream).solution.problem for _ in range(20_000)}
    assert not held_out & examples
    assert not (held_out | examples) & trained


def test_training_refuses_the_seeds_of_evaluation() -> None:
    with pytest.raises(ValueError, match="kept for evaluation"):
        next(training_stream(SEEDS["held-out"]))


def test_half_of_the_training_examples_judge_a_wrong_step() -> None:
    stream = training_stream(3)
    judged = [next(stream) for _ in range(2000)]
    assert 900 < sum(each.index == each.solution.label for each in judged) < 1100


def test_a_row_has_the_fields_of_processbench() -> None:
    solution: ChainSolution = draw_split("examples", 1)[0]
    row = as_row("examples", 0, solution)
    assert (row["id"], row["label"], row["error_kind"]) == ("examples-0000", solution.label, solution.kind)
    assert row["steps"] == list(solution.steps)
