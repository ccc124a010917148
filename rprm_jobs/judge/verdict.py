"""The grammar of a verdict: what counts as one, where a critique ends, and P(Yes) at its place. Every engine uses it.

A verdict is MARKER, one space, and `Yes` or `No` as a whole answer. `Yes/No`, `Yes or No?`, `Not applicable`, `No one`,
`**Yes**` and `yes` are none, and a `<think>` block holds none. The first line that begins with a verdict ends the
critique, with that line; of the verdicts up to there the last counts. A text without one is unparsed, never a guess.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

from rprm_jobs.types import Finish, Verdict

Decode = Callable[[Sequence[int]], str]

MARKER = "Verification: Is the step correct (Yes/No)?"
PARSE_RULE = "last-verdict/2"

# What an engine that only knows literal stop strings is given; `cut_critique` decides in the end. OpenAI takes four.
STOP_STRINGS = tuple(f"\n{MARKER} {answer}{stop}\n" for answer in ("Yes", "No") for stop in ("", "."))

# The words with which a sentence may go on behind an answer without a comma. Any other may belong to it: "No error".
_GOES_ON = "and|so|because|since|as|for|due|given|but|the|this|that|these|those|it|its|it's|there|they|we|I"
_WHOLE = re.compile(
    r"(?![\w/\\|\u0300-\u036f])"  # the word goes on, or a list of the choices does
    r"(?!['\u2019-]\w)"  # No-one, Yes'm
    r"(?!\s*[/\\|&?\uff1f])"  # Yes / No, or a question
    r"(?![,;\uff0c\u3001]?\s*\b(?i:or|and/or)\b)"  # Yes or No
    r"(?!\s*(?i:and|[,;\uff0c\u3001])\s*(?i:yes|no)\b(?!\s+\w))"  # Yes and No; Yes, No
    rf"(?![^\S\n]+(?!(?:{_GOES_ON})\b)\w)"  # No error found
)
_RULES = {
    "last-verdict/1": re.compile(re.escape(MARKER) + r" (Yes|No)(?![\w/])"),
    PARSE_RULE: re.compile(re.escape(MARKER) + r" (Yes|No)" + _WHOLE.pattern),
}
PARSE_RULES = tuple(_RULES)
_LINE = re.compile(r"^" + _RULES[PARSE_RULE].pattern + r"[^\n]*(?=\n)", re.MULTILINE)
_THINKING = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("[THINK]", "[/THINK]"),
    ("\u25c1think\u25b7", "\u25c1/think\u25b7"),
)
_THINKING_MARK = re.compile("|".join(re.escape(mark) for pair in _THINKING for mark in pair))
_OPENING = {opening for opening, _ in _THINKING}


def find_verdicts(text: str, rule: str = PARSE_RULE) -> list[re.Match[str]]:
    """Every verdict in `text`, in order; group 1 is `Yes` or `No`. `rule` is one of PARSE_RULES."""
    matches = list(_RULES[rule].finditer(text))
    return matches if rule != PARSE_RULE else _outside_thinking(text, matches)


def read_verdict(text: str, finish: Finish, rule: str = PARSE_RULE) -> Verdict:
    """The last verdict of a critique; without one, TRUNCATED if the token limit cut it, else UNPARSED.

    An answer that the token limit cut off from what follows may be half a word (`No` of `Not`), and does not count.
    """
    verdicts = find_verdicts(text, rule)
    if rule == PARSE_RULE and finish is Finish.LENGTH and verdicts and verdicts[-1].end() == len(text):
        verdicts.pop()
    if verdicts:
        return Verdict.YES if verdicts[-1][1] == "Yes" else Verdict.NO
    return Verdict.TRUNCATED if finish is Finish.LENGTH else Verdict.UNPARSED


def cut_critique(text: str) -> tuple[str, bool]:
    """`text` up to the end of its first line that begins with a verdict, and whether such a line ended in it.

    A line without its line break may still go on, so it ends nothing.
    """
    lines = _outside_thinking(text, list(_LINE.finditer(text)))
    return (text[: lines[0].end()], True) if lines else (text, False)


def thinking_opening(frame: str) -> str:
    """The thinking block that a chat frame leaves open at its end, so that the answer begins inside it; else empty."""
    marks = list(_THINKING_MARK.finditer(frame))
    return frame[marks[-1].start() :] if marks and marks[-1][0] in _OPENING else ""


def thinking_closing(text: str) -> str:
    """What closes the thinking block that `text` leaves open, else empty."""
    opening = thinking_opening(text)
    return next((f"\n{closing}\n" for mark, closing in _THINKING if opening.startswith(mark)), "")


def _outside_thinking(text: str, matches: list[re.Match[str]]) -> list[re.Match[str]]:
    """Those of `matches` that stand in no thinking block; one that is never closed reaches to the end."""
    if not matches:
        return matches
    blocks: list[tuple[int, int]] = []
    start: int | None = None
    for mark in _THINKING_MARK.finditer(text):
        if mark[0] in _OPENING:
            start = mark.start() if start is None else start
        else:
            # A block that was opened before the text began reaches back to its beginning.
            blocks.append((0 if start is None else start, mark.end()))
            start = None
    if start is not None:
        blocks.append((start, len(text)))
    return [match for match in matches if not any(a <= match.start() < b for a, b in blocks)]


def verdict_place(text: str, ids: Sequence[int], decode: Decode, answers: tuple[int, int] | None = None) -> int | None:
    """Index into `ids` of the token that begins the last verdict's Yes or No; None where there is no verdict.

    `text` must be `decode(ids)` or the beginning of it. With `answers`, the ids of Yes and No, the place is None too
    where neither stands there: the word was cut into other tokens, and the two say nothing about it.
    """
    verdicts = find_verdicts(text)
    if not verdicts:
        return None
    place = tokens_reaching(verdicts[-1].start(1) + 1, ids, decode) - 1
    return place if answers is None or ids[place] in answers else None


def tokens_reaching(length: int, ids: Sequence[int], decode: Decode) -> int:
    """How many of `ids` it takes until their text has `length` characters, or all of them where they never have.

    The place mostly stands near the end, so the search strides backwards from there.
    """
    low = high = len(ids)
    stride = 1
    while low > 0 and len(decode(ids[:low])) >= length:
        low, high = max(0, low - stride), low
        stride *= 2
    # Now ids[:low] is too short, and ids[:high] is long enough.
    while high - low > 1:
        middle = (low + high) // 2
        if len(decode(ids[:middle])) >= length:
            high = middle
        else:
            low = middle
    return high


def p_yes(logprob_yes: float, logprob_no: float) -> float:
    """P(Yes) in [0, 1]: the softmax over the two first-token logits (R-PRM, section 3), from their log-probs."""
    difference = logprob_no - logprob_yes
    if difference > 0:
        odds = math.exp(-difference)
        return odds / (1.0 + odds)
    return 1.0 / (1.0 + math.exp(difference))
