"""What of an answer is rewritten before it is handed to math-verify: spellings that it reads as something else.

Each rule is one that a list of pairs (`benchmarks/answers.jsonl`) shows to be needed and harmless. All else is handed
over as it stands.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from rprm_jobs.evaluation.answers import trimmed

# Not behind a backslash, since `\\ ` ends a row of a matrix.
_SPACE = r"(?:(?<!\\)\\[,;:!> ]|~|\{\s*\}|\s)"
_Replacement = str | Callable[[re.Match[str]], str]

_RULES: tuple[tuple[re.Pattern[str], _Replacement], ...] = (
    # Math mode begun and ended inside; `\$` is a character and stays.
    (re.compile(r"(?<!\\)\$"), ""),
    (re.compile(r"\\text\s*\{\s*(\\\$)\s*\}"), r"\1"),
    # 32\,348, 32\!348, 32 348 and 32{,}348 are one number; without this they are 32 times 348.
    (re.compile(rf"(?<=\d)(?:{_SPACE}+|\{{,\}}{_SPACE}*|,\\!)(?=\d{{3}}(?!\d))"), ""),
    # Another space only separates.
    (re.compile(r"(?<!\\)\\[,;:!> ]|~|\\q?quad(?![a-zA-Z])"), " "),
    # The imaginary unit, which is not recognised apart from its number.
    (re.compile(r"\\(?:mathrm|text|mathit|operatorname)\s*\{\s*i\s*\}|\\imath(?![a-zA-Z])"), "i"),
    (re.compile(r"(?<=[\d})])\s*(?:\\cdot|\\times)?\s*i(?![a-zA-Z])"), "i"),
    # 1 1/2 is one and a half.
    (re.compile(r"(?<![\d./])(\d+)\s+(\d+)/(\d+)(?![\d.])"), r"\1\\frac{\2}{\3}"),
    (re.compile(r"(?<=\d)[eE]([+-]?\d+)(?![\d.])"), r"\\times 10^{\1}"),
    # ]3,4] and [3,4[ are intervals too.
    (re.compile(r"^\s*\](.+,.+)([\[\]])\s*$"), lambda m: f"({m[1]}{')' if m[2] == '[' else ']'}"),
    (re.compile(r"^\s*\[(.+,.+)\[\s*$"), r"[\1)"),
    (re.compile(r"\\langle(?![a-zA-Z])"), "("),
    (re.compile(r"\\rangle(?![a-zA-Z])"), ")"),
    (re.compile(r"\\varnothing(?![a-zA-Z])"), r"\\emptyset"),
    # Words behind a number are a unit, not a product of letters.
    (re.compile(r"(?<=\d)\s+([a-z]{3,}(?:\s+[a-z]{3,})*)$"), r"\\text{ \1}"),
    (re.compile(r"√\s*(\d+(?:\.\d+)?|\([^()]*\)|[a-zA-Z])"), r"\\sqrt{\1}"),
    (re.compile(r"[¼-¾⅐-⅞]"), lambda m: _vulgar_fraction(m[0])),
)
_TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mbox)\s*\{([^{}]*)\}")
_NAME = re.compile(r"[a-zA-Z]\s*=\s*")
_WORDS = re.compile(r"[\w\s.,;:'()-]*[^\W\d_]{3}[\w\s.,;:'()-]*")
_LONG_WORDS = re.compile(r"[^\W\d_]{4,}(?: [^\W\d_]+)*")
_BASE = re.compile(r"(.+)_\{?(?:\\text\s*\{)?\s*(\w+)\s*\}*", re.DOTALL)


def as_math(answer: str) -> str:
    """The answer as math-verify reads it right."""
    answer = trimmed(answer)
    for pattern, replacement in _RULES:
        answer = pattern.sub(replacement, answer)
    return answer


def as_words(answer: str) -> str:
    """Words as a reader sees them, in whatever case; what holds anything but words comes back as it stands."""
    answer = trimmed(answer)
    words = _TEXT.sub(r"\1", _NAME.sub("", answer))
    return " ".join(words.casefold().split()).rstrip(".") if _WORDS.fullmatch(words) else answer


def other_words(first: str, second: str) -> bool:
    """Whether both are nothing but words, and not the same: as products of letters, anagrams would be."""
    words = as_words(first), as_words(second)
    return all(map(_LONG_WORDS.fullmatch, words)) and words[0] != words[1]


def other_base(first: str, second: str) -> bool:
    """Whether both are numbers with a base, and not the same: math-verify looks at the digits alone."""
    bases = [match and match[2] for match in map(_BASE.fullmatch, (as_math(first), as_math(second)))]
    return None not in bases and all(str(base).isdecimal() for base in bases) and bases[0] != bases[1]


def _vulgar_fraction(character: str) -> str:
    numerator, _, denominator = unicodedata.normalize("NFKC", character).partition("⁄")
    return rf"\frac{{{numerator}}}{{{denominator}}}"
