"""P(Yes) from the log-probabilities that a server lists. What is missing, or no number, costs P(Yes) and no more.

The listed tokens may cover a reasoning part that the content lacks, so the verdict is looked up in the content, and the
content among the tokens. Only visible ASCII is compared: some servers leave out the space that a token begins with,
others put the vocabulary's mark for it.
"""

from __future__ import annotations

import bisect
import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rprm_jobs.judge.verdict import find_verdicts, p_yes

# The answer whose log-prob the server left out is below the least it listed. When that leaves P(Yes) less certain
# than this, there is no P(Yes) for the critique, and its vote stands alone.
MOST_DOUBT = 0.01
# Rounding lifts the log-probability of a certain token a little over 0; more than that is no log-probability.
_ROUNDING = 1e-3
_HIDDEN = re.compile(rb"[^\x21-\x7e]")
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


@dataclass(frozen=True, slots=True)
class Token:
    """A generated token with the likeliest ones at its place; a log-prob is None where the server gave no number.

    `octets` are exact where `text` is no valid text.
    """

    text: str
    logprob: float | None
    top: tuple[tuple[str, float | None], ...] = ()
    octets: bytes | None = None

    @property
    def raw(self) -> bytes:
        if self.octets is not None:
            return self.octets
        byte = _BYTE.fullmatch(self.text)
        return bytes.fromhex(byte[1]) if byte else self.text.encode(errors="ignore")


def read_tokens(logprobs: Any) -> list[Token]:
    """The tokens of a choice's `logprobs`, as chat completions or as (older) completions write them; whatever it is."""
    if not isinstance(logprobs, dict):
        return []
    if isinstance(content := logprobs.get("content"), list):
        return [_chat_token(entry) for entry in content]
    texts = logprobs.get("tokens")
    if not isinstance(texts, list):
        return []
    columns = [_column(logprobs.get(name), len(texts)) for name in ("token_logprobs", "top_logprobs")]
    return [
        Token(text if isinstance(text, str) else "", _number(logprob), _tops(top))
        for text, logprob, top in zip(texts, *columns, strict=True)
    ]


def read_p_yes(text: str, content: str, tokens: Sequence[Token]) -> float | None:
    """P(Yes) at the last verdict of `text`, the beginning of `content`; None where the server told too little.

    With one answer among the top log-probs only, the other's probability is at most `u` = the smaller of the least one
    listed and of what all listed ones leave of 1. P(Yes) is then known to within u / (u + p), and taken in the middle.
    """
    token = _answer_token(text, content, tokens)
    if token is None:
        return None
    answers = [_answer(token, word) for word in ("Yes", "No")]
    listed = [logprob for _, logprob in token.top]
    known = [logprob for logprob in listed if logprob is not None]
    yes, no = answers
    if yes is not None and no is not None:
        return p_yes(yes, no) if math.isfinite(yes) and math.isfinite(no) else None
    sampled = yes if yes is not None else no
    if sampled is None or not math.isfinite(sampled) or not known or len(known) < len(listed):
        return None
    most = min(math.exp(min(known)), max(0.0, 1.0 - math.fsum(map(math.exp, known))))
    doubt = most / (most + math.exp(sampled)) if most > 0 else 0.0
    if doubt > MOST_DOUBT:
        return None
    return 1.0 - doubt / 2 if yes is not None else doubt / 2


def _answer_token(text: str, content: str, tokens: Sequence[Token]) -> Token | None:
    """The token that begins the answer of the last verdict of `text`; None where the tokens are not the content's."""
    verdicts = find_verdicts(text)
    if not verdicts or not tokens:
        return None
    bare = [_bare(token.raw) for token in tokens]
    start = b"".join(bare).rfind(_bare(content.encode(errors="ignore")))
    if start < 0:
        return None
    answer = start + len(_bare(content[: verdicts[-1].start(1)].encode(errors="ignore")))
    return tokens[bisect.bisect_right(list(itertools.accumulate(map(len, bare))), answer)]


def _bare(raw: bytes) -> bytes:
    """What all servers show alike: visible ASCII. A token may hold half a character, or a mark in place of a space."""
    return _HIDDEN.sub(b"", raw)


def _answer(token: Token, word: str) -> float | None:
    """Log-prob of the token that begins `word` at this place, NaN where it is listed without a number.

    The word is written with a space or without, as the sampled one is.
    """
    whole = f" {word}" if _plain(token.text).startswith(" ") else word
    fits = [
        (len(plain), math.nan if logprob is None else logprob)
        for text, logprob in (*token.top, (token.text, token.logprob))
        if (plain := _plain(text)).strip() and whole.startswith(plain)
    ]
    return max(fits, key=lambda fit: fit[0])[1] if fits else None


def _plain(token: str) -> str:
    """Some servers show a token as its vocabulary spells it, with a mark for the space."""
    return re.sub("^[\u0120\u2581]", " ", token)


def _chat_token(entry: Any) -> Token:
    if not isinstance(entry, dict) or not isinstance(entry.get("token"), str):
        return Token("", None)
    return Token(entry["token"], _number(entry.get("logprob")), _tops(entry.get("top_logprobs")), _octets(entry))


def _octets(entry: dict[str, Any]) -> bytes | None:
    octets = entry.get("bytes")
    if not isinstance(octets, list) or not all(type(value) is int and 0 <= value < 256 for value in octets):
        return None
    return bytes(octets)


def _tops(listed: Any) -> tuple[tuple[str, float | None], ...]:
    """The likeliest tokens: a list of objects, or an object of log-probs by token."""
    if isinstance(listed, dict):
        return tuple((text, _number(logprob)) for text, logprob in listed.items())
    if not isinstance(listed, list):
        return ()
    return tuple(
        (top["token"], _number(top.get("logprob")))
        for top in listed
        if isinstance(top, dict) and isinstance(top.get("token"), str)
    )


def _number(value: Any) -> float | None:
    """`value` as a log-probability: a finite number that is not above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return min(number, 0.0) if math.isfinite(number) and number <= _ROUNDING else None


def _column(values: Any, length: int) -> list[Any]:
    return values if isinstance(values, list) and len(values) == length else [None] * length
