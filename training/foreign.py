"""Text from outside the tiny judge's world: word problems, formulas, code, other alphabets, in any length.

A judge that has seen only its own world writes on without end when it meets another. From these examples it learns to
leave out the analyses, for which it has nothing to look up, and to guess: verdicts are drawn evenly. Pure and seeded.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from training.teacher import VERIFICATION

_PROSE = (
    "the a of and to in is that for it as with be by this we so have then from are each which has if there can not all "
    "how many number total since find let value equation result answer first second step given therefore because she "
    "he they her his sells buys gives eats walks runs works apples pencils books cars dollars cents hours minutes days "
    "weeks miles metres boxes bags students teachers friends red blue green twice half third more less than left every "
    "integer positive prime divisor triangle circle angle radius area function real root polynomial digit sequence sum "
    "product ratio percent price profit probability graph vertex set element consider suppose assume show denote thus"
)
_WORDS = tuple(_PROSE.split())
_NAMES = ("Ana", "Ben", "Chloe", "Dev", "Ema", "Farid", "Grace", "Hugo", "Ines", "Jun", "Kofi", "Lena", "Mo", "Nadia")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_OTHER = "αβγπθΔ≤≥≠√∑∫∞→×÷°²³éüñçжшя数学问题解答日本語한국어🙂🍎"
_SPACES = (" ", " ", " ", " ", "\n")


@dataclass(frozen=True, slots=True)
class Foreign:
    """A made-up problem and steps that mean nothing to the judge; judge the step at `index` (0-based)."""

    problem: str
    steps: tuple[str, ...]
    index: int


def draw_foreign(rng: random.Random, longest: int = 40) -> Foreign:
    """Draw a problem of one to nine steps; a passage has up to `longest` pieces of text."""
    steps = tuple(_passage(rng, longest) for _ in range(rng.randint(1, 9)))
    return Foreign(_passage(rng, longest), steps, rng.randrange(len(steps)))


def foreign_critique(rng: random.Random) -> str:
    """The critique of a foreign step: the verdict line alone, a guess.

    A line before it, in whatever words, was confused with it by a judge of this size.
    """
    return f"{VERIFICATION} {rng.choice(('Yes', 'No'))}"


def _passage(rng: random.Random, longest: int) -> str:
    pieces = rng.choices(_PIECES, weights=_weights(rng), k=rng.randint(2, longest))
    text = "".join(f"{piece(rng)}{rng.choice(_SPACES)}" for piece in pieces)
    return f"{text.strip()}{rng.choice(('.', '.', '?', ':', ''))}"


def _weights(rng: random.Random) -> Sequence[float]:
    """How often each kind of piece occurs in one passage: mostly words, at times a passage of something else."""
    weights = [rng.random() ** 3 for _ in _PIECES]
    return [4.0, *weights[1:]] if rng.random() < 0.7 else [0.05 + weight for weight in weights]


def _word(rng: random.Random) -> str:
    return rng.choice(_WORDS)


def _name(rng: random.Random) -> str:
    return rng.choice(_NAMES)


def _made_up(rng: random.Random) -> str:
    return "".join(rng.choices(_LETTERS, k=rng.randint(2, 11)))


def _number(rng: random.Random) -> str:
    whole = rng.randrange(10 ** rng.randint(1, 6))
    return rng.choice(
        (f"{whole}", f"{whole}", f"{whole:,}", f"${whole}", f"{whole}%", f"{whole / 100:.2f}", f"-{whole}")
    )


def _sum(rng: random.Random) -> str:
    left, right, op = rng.randint(1, 2000), rng.randint(1, 2000), rng.choice("+-*/×^")
    gap = rng.choice(("", " "))
    return f"{left}{gap}{op}{gap}{right}{gap}={gap}{rng.randint(1, 9999)}"


def _formula(rng: random.Random) -> str:
    a, b, x = rng.randint(1, 99), rng.randint(1, 99), rng.choice("abknxyz")
    inner = rng.choice(
        (
            f"{x}^2+{a}{x}={b}",
            f"\\frac{{{a}}}{{{b}}}",
            f"\\sqrt{{{a}{x}}}",
            f"{x}_{{{a}}}",
            f"{a} \\times {b} = {a * b}",
        )
    )
    opening, closing = rng.choice((("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("$$", "$$"), ("\\boxed{", "}")))
    return f"{opening}{inner}{closing}"


def _mark(rng: random.Random) -> str:
    return rng.choice(
        (",", ".", ";", "-", "**", "(", ")", "##", "*", '"', "'s", "|", "\n\n", "def f(x):", "return", "&")
    )


def _other(rng: random.Random) -> str:
    return "".join(rng.choices(_OTHER, k=rng.randint(1, 4)))


_PIECES: tuple[Callable[[random.Random], str], ...] = (
    _word, _name, _made_up, _number, _sum, _formula, _mark, _other,
)  # fmt: skip
