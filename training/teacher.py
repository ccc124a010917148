"""Writes the critique of a step by program: the five analyses in tiny form, a conclusion, and the verdict line.

Numbers are written from the units up in three places (`570` is 75), so that every token is a look-up in what
stands near it. A comparison is expected digit, written digit, mark: `33=` agrees and `34!` does not.
"""

from __future__ import annotations

from dataclasses import dataclass

from training.world import TAGS, ChainSolution, Claim, Instruction, Op

PLACES = 3
VERIFICATION = "Verification: Is the step correct (Yes/No)?"
_WORDS: dict[Op, str] = {"+": " plus", "-": " minus", "*": " times"}


@dataclass(frozen=True, slots=True)
class Analyses:
    """A critique before its conclusion: what it reads off the step, and its three checks by their line's beginning."""

    head: tuple[str, ...]
    checks: dict[str, str]

    @property
    def correct(self) -> bool:
        """Whether no comparison in the checks failed."""
        return all("!" not in check for check in self.checks.values())


def analyse(solution: ChainSolution, index: int) -> Analyses:
    """Look at step `index` (0-based), by the value the step before it states."""
    previous, claim = solution.previous(index), solution.claims[index]
    head = (
        f"Previous: {'start' if index == 0 else 'last'} {_places(previous)}",
        f"Now: {_places(claim.left)}{claim.op}{_places(claim.right)}={_places(claim.result)}",
    )
    checks = {
        f"Source ({TAGS[index]}):": _source(solution.instructions[index], claim),
        "Consistency: ": _consistency(previous, claim),
        "Calculation: ": _calculation(claim),
    }
    return Analyses(head, checks)


def conclude(analyses: Analyses, *, correct: bool) -> str:
    """The critique that says so, which is sound when `correct` is what the analyses found.

    Ends in the verdict line, without a newline after it.
    """
    lines = [*analyses.head, *(f"{name}{check}{_sum_up(check)}" for name, check in analyses.checks.items())]
    lines += [f"Conclusion: {'ok' if correct else 'bad'}", f"{VERIFICATION} {'Yes' if correct else 'No'}"]
    return "\n".join(lines)


def critique(solution: ChainSolution, index: int) -> str:
    """The flawless critique of step `index` (0-based)."""
    analyses = analyse(solution, index)
    return conclude(analyses, correct=analyses.correct)


def _places(number: int) -> str:
    """`number` in three places, units first."""
    return f"{number:0{PLACES}d}"[::-1]


def _compare(expected: str, written: str) -> str:
    return f"{expected}{written}{_mark(expected == written)}"


def _mark(agrees: bool) -> str:
    return "=," if agrees else "!,"


def _sum_up(check: str) -> str:
    return "bad" if "!" in check else "ok"


def _compare_numbers(expected: int, written: int) -> str:
    return "".join(_compare(*pair) for pair in zip(_places(expected), _places(written), strict=True))


def _source(instruction: Instruction, claim: Claim) -> str:
    return _compare(_WORDS[instruction.op], _WORDS[claim.op]) + _compare_numbers(instruction.operand, claim.right)


def _consistency(previous: int, claim: Claim) -> str:
    return _compare_numbers(previous, claim.left)


def _calculation(claim: Claim) -> str:
    """Columns from the units up: `digit op digit sign carry = carry' digit`, then the written digit and its mark."""
    carry, columns = 0, list[str]()
    sign = "-" if claim.op == "-" else "+"
    lefts, rights, writtens = _places(claim.left), _places(claim.right), _places(claim.result)
    for place in range(PLACES):
        right = rights[0] if claim.op == "*" else rights[place]
        carry_in, carry, digit = carry, *_column(claim.op, int(lefts[place]), int(right), carry)
        written = writtens[place]
        checked = f"{digit}:{written}{_mark(digit == int(written))}"
        columns.append(f"{lefts[place]}{claim.op}{right}{sign}{carry_in}={carry}{checked}")
    return "".join(columns)


def _column(op: str, left: int, right: int, carry: int) -> tuple[int, int]:
    """Carry (or borrow) and digit of one column."""
    if op == "-":
        value = left - right - carry
        return int(value < 0), value % 10
    value = left * right + carry if op == "*" else left + right + carry
    return value // 10, value % 10
