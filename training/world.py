"""A world of arithmetic chains: problems, worked solutions and injected first errors, from a seeded generator.

Pure and seeded: the same `random.Random` state gives the same solution. Every value stays between 1 and 999.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Op = Literal["+", "-", "*"]
ErrorKind = Literal["result", "operand", "previous", "operation"]

OPS: tuple[Op, ...] = ("+", "-", "*")
ERROR_KINDS: tuple[ErrorKind, ...] = ("result", "operand", "previous", "operation")
LARGEST = 999
TAGS = "abcdefg"

_OPENINGS = ("Start with", "Begin with", "Take")
_QUESTIONS = ("What is the result?", "What do you get?", "Find the result.")
_WORDS: dict[Op, tuple[str, ...]] = {
    "+": ("add", "plus"),
    "-": ("subtract", "minus"),
    "*": ("multiply by", "times"),
}
_LEADS = ("", "So ", "Now ", "We get ")


@dataclass(frozen=True)
class Instruction:
    """One operation that the problem asks for, with the word the problem uses for it."""

    op: Op
    operand: int
    word: str


@dataclass(frozen=True)
class Claim:
    """What a step says: `left op right = result`. It may be wrong in any of the four."""

    left: int
    op: Op
    right: int
    result: int


@dataclass(frozen=True)
class ChainSolution:
    """A problem with its worked steps. `label` is the 0-based first error, -1 when there is none."""

    problem: str
    start: int
    instructions: tuple[Instruction, ...]
    claims: tuple[Claim, ...]
    steps: tuple[str, ...]
    label: int
    kind: ErrorKind | None

    def previous(self, index: int) -> int:
        """The value that step `index` has to go on from: the start, or what the step before it states."""
        return self.start if index == 0 else self.claims[index - 1].result

    def true_step(self, index: int) -> str:
        """What step `index` would say if it were right, going on from what the step before it states."""
        lead = self.steps[index].removesuffix(stated(self.claims[index]))
        return lead + stated(true_claim(self.previous(index), self.instructions[index]))


def apply(op: Op, left: int, right: int) -> int:
    """The true value of `left op right`."""
    if op == "+":
        return left + right
    return left - right if op == "-" else left * right


def in_range(value: int) -> bool:
    """Whether the world allows `value`."""
    return 1 <= value <= LARGEST


def draw_solution(rng: random.Random, *, wrong: bool) -> ChainSolution:
    """Draw a solution of 3 to 7 steps; `wrong` puts one first error in a uniformly drawn step.

    Steps after the error go on consistently from the wrong value.
    """
    kind = rng.choice(ERROR_KINDS) if wrong else None
    while True:
        start = rng.randint(2, 99)
        instructions = draw_instructions(rng, start, rng.randint(3, 7))
        label = rng.randrange(len(instructions)) if wrong else -1
        claims = _work(rng, start, instructions, label, kind)
        if claims is not None:
            return written(rng, start, instructions, claims, label, kind)


def draw_scrambled(rng: random.Random) -> ChainSolution:
    """Draw a solution up to a step in which each of left, op, right and result is made wrong with probability one half.

    Only for training. With single, near errors a judge does well by copying what the step says instead of looking
    it up; here copying is often wrong. The step's operations are equally frequent.
    """
    wanted = rng.choice(OPS)
    while True:
        start = rng.randint(2, 99)
        instructions = draw_instructions(rng, start, rng.randint(3, 7))
        index = rng.randrange(len(instructions))
        claims = _work(rng, start, instructions, -1, None)
        claim = _scramble(rng, claims[index]) if claims is not None else None
        if claims is not None and claim is not None and claim.op == wanted:
            label = index if claim != claims[index] else -1
            return written(rng, start, instructions, (*claims[:index], claim), label, None)


def _scramble(rng: random.Random, true: Claim) -> Claim | None:
    left = _another(rng, true.left) if rng.random() < 0.5 else true.left
    right = _another(rng, true.right) if rng.random() < 0.5 else true.right
    op = rng.choice([op for op in OPS if op != true.op]) if rng.random() < 0.5 else true.op
    result = apply(op, left, right)
    if not in_range(result) or (op == "*" and not 2 <= right <= 9):
        return None
    return Claim(left, op, right, _another(rng, result) if rng.random() < 0.5 else result)


def _another(rng: random.Random, number: int) -> int:
    """Any other number of the range, of one to three digits with equal chance, or a near one."""
    if rng.random() < 0.3:
        return _near(rng, number)
    another = rng.randint(1, 10 ** rng.randint(1, 3) - 1)
    return another if another != number else _another(rng, number)


def draw_instructions(rng: random.Random, start: int, count: int, largest: int = LARGEST) -> tuple[Instruction, ...]:
    """Draw `count` instructions that, followed from `start`, never leave 1 to `largest`."""
    value, drawn = start, list[Instruction]()
    while len(drawn) < count:
        op = rng.choice(OPS)
        operand = _draw_operand(rng, op)
        if 1 <= apply(op, value, operand) <= largest:
            drawn.append(Instruction(op, operand, rng.choice(_WORDS[op])))
            value = apply(op, value, operand)
    return tuple(drawn)


def _draw_operand(rng: random.Random, op: Op) -> int:
    if op == "*":
        return rng.randint(2, 9)
    return rng.randint(2, 99) if rng.random() < 0.7 else rng.randint(100, 600)


def _work(
    rng: random.Random, start: int, instructions: Sequence[Instruction], label: int, kind: ErrorKind | None
) -> tuple[Claim, ...] | None:
    """The claims of all steps, or None when the chain with this error would leave the range."""
    value, claims = start, list[Claim]()
    for index, instruction in enumerate(instructions):
        claim: Claim | None = true_claim(value, instruction)
        if index == label and kind is not None:
            earlier = [start, *(done.result for done in claims)][:-1]
            others = [other.operand for other in instructions]
            claim = CORRUPTERS[kind](rng, true_claim(value, instruction), earlier if kind == "previous" else others)
        if claim is None or not in_range(claim.result):
            return None
        claims.append(claim)
        value = claim.result
    return tuple(claims)


def true_claim(value: int, instruction: Instruction) -> Claim:
    """What a correct step states, going on from `value`."""
    return Claim(value, instruction.op, instruction.operand, apply(instruction.op, value, instruction.operand))


def _near(rng: random.Random, number: int) -> int:
    """Another number of the range that is easily taken for `number`: a digit changed, or two digits swapped."""
    digits = list(str(number))
    place = rng.randrange(len(digits))
    way = rng.random()
    if way < 0.25 and len(digits) > 1:
        other = (place + 1) % len(digits)
        digits[place], digits[other] = digits[other], digits[place]
    elif way < 0.6:
        digits[place] = str((int(digits[place]) + rng.choice((-1, 1))) % 10)
    else:
        digits[place] = rng.choice("0123456789")
    near = int("".join(digits))
    return near if near != number and in_range(near) else _near(rng, number)


def _wrong_result(rng: random.Random, claim: Claim, _: Sequence[int]) -> Claim | None:
    if not in_range(claim.result):
        return None
    slip = _without_carry(claim) if rng.random() < 0.3 else claim.result
    wrong = slip if slip != claim.result and in_range(slip) else _near(rng, claim.result)
    return Claim(claim.left, claim.op, claim.right, wrong)


def _without_carry(claim: Claim) -> int:
    """The result that forgets every carry or borrow."""
    value = 0
    for place in (100, 10, 1):
        digit = claim.left // place % 10
        other = claim.right if claim.op == "*" else claim.right // place % 10
        value += apply(claim.op, digit, other) % 10 * place
    return value


def _wrong_operand(rng: random.Random, claim: Claim, others: Sequence[int]) -> Claim | None:
    wrong = rng.choice(others) if rng.random() < 0.3 else _near(rng, claim.right)
    if wrong == claim.right or (claim.op == "*" and not 2 <= wrong <= 9):
        return None
    return Claim(claim.left, claim.op, wrong, apply(claim.op, claim.left, wrong))


def _wrong_previous(rng: random.Random, claim: Claim, earlier: Sequence[int]) -> Claim | None:
    wrong = rng.choice(earlier) if earlier and rng.random() < 0.3 else _near(rng, claim.left)
    if wrong == claim.left:
        return None
    return Claim(wrong, claim.op, claim.right, apply(claim.op, wrong, claim.right))


def _wrong_operation(rng: random.Random, claim: Claim, _: Sequence[int]) -> Claim | None:
    op = rng.choice([op for op in OPS if op != claim.op])
    if op == "*" and not 2 <= claim.right <= 9:
        return None
    return Claim(claim.left, op, claim.right, apply(op, claim.left, claim.right))


# From a true claim to one with an error of the kind, or None where it allows none; the numbers are others of the
# problem that may be confused with its own.
CORRUPTERS: dict[ErrorKind, Callable[[random.Random, Claim, Sequence[int]], Claim | None]] = {
    "result": _wrong_result,
    "operand": _wrong_operand,
    "previous": _wrong_previous,
    "operation": _wrong_operation,
}


def stated(claim: Claim) -> str:
    """A claim in the words of a step."""
    return f"{claim.left}{claim.op}{claim.right}={claim.result}."


def written(
    rng: random.Random,
    start: int,
    instructions: tuple[Instruction, ...],
    claims: tuple[Claim, ...],
    label: int,
    kind: ErrorKind | None,
) -> ChainSolution:
    """Put numbers into words. Each instruction carries a letter, which critiques name when they look it up."""
    asked = ", ".join(f"{asked.word} {asked.operand} ({tag})" for tag, asked in zip(TAGS, instructions, strict=False))
    problem = f"{rng.choice(_OPENINGS)} {start}; {asked}. {rng.choice(_QUESTIONS)}"
    steps = tuple(rng.choice(_LEADS) + stated(claim) for claim in claims)
    return ChainSolution(problem, start, instructions, claims, steps, label, kind)
