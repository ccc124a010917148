"""The teacher's critiques: the verdict is the label, and what they write is arithmetic that holds."""

from __future__ import annotations

import random
import re

import pytest

from rprm_jobs.judge.verdict import MARKER, find_verdicts, read_verdict
from rprm_jobs.types import Finish, Verdict
from training.splits import draw_split
from training.teacher import VERIFICATION, critique
from training.world import ChainSolution, draw_solution

COLUMN = re.compile(r"(\d)([-+*])(\d)[-+](\d)=(\d)(\d):(\d)([=!]),")


def steps_of(seed: int, count: int) -> list[tuple[ChainSolution, int]]:
    rng = random.Random(seed)
    drawn = [draw_solution(rng, wrong=number % 2 == 0) for number in range(count)]
    return [(solution, index) for solution in drawn for index in range(len(solution.steps))]


def test_the_verdict_agrees_with_the_label_on_every_step() -> None:
    for solution, index in steps_of(1, 3000):
        expected = Verdict.NO if index == solution.label else Verdict.YES
        text = critique(solution, index)
        assert read_verdict(text, Finish.STOP) is expected
        assert len(find_verdicts(text)) == 1
        assert text.endswith((" Yes", " No"))


def test_the_verdict_line_is_the_one_that_judging_reads() -> None:
    assert VERIFICATION == MARKER


def test_only_the_check_of_the_broken_part_fails() -> None:
    checks = {"result": "Calculation", "operand": "Source", "operation": "Source", "previous": "Consistency"}
    for solution, index in steps_of(2, 500):
        failed = [line.split()[0].rstrip(":") for line in critique(solution, index).splitlines()[:5] if "!" in line]
        assert failed == ([checks[solution.kind]] if index == solution.label and solution.kind else [])


def test_columns_are_true_and_carry_on() -> None:
    for solution, index in steps_of(3, 500):
        columns = COLUMN.findall(critique(solution, index))
        assert len(columns) == 3
        carry = 0
        for left, op, right, carry_in, carry_out, digit, written, mark in columns:
            assert int(carry_in) == carry
            carry = int(carry_out)
            value = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}[op](int(left), int(right))
            if op == "-":
                assert value - int(carry_in) == int(digit) - 10 * carry
            else:
                assert value + int(carry_in) == int(digit) + 10 * carry
            assert (mark == "=") == (digit == written)


@pytest.mark.parametrize("index", [0, 1])
def test_a_critique_reads_like_this(index: int) -> None:
    solution = draw_split("examples", 1)[0]
    lines = critique(solution, index).splitlines()
    assert [line.split()[0].rstrip(":") for line in lines] == [
        "Previous", "Now", "Source", "Consistency", "Calculation", "Conclusion", "Verification",
    ]  # fmt: skip
    assert lines[0].startswith(f"Previous: {'last' if index else 'start'} ")
    assert f"({'ab'[index]})" in lines[2]
