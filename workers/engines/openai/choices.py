"""Which of several words a server would write next, from the likeliest tokens that it lists."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rprm_jobs.errors import Refused
from workers.engines.openai.logprobs import read_tokens


def read_choice(logprobs: Any, words: Sequence[str]) -> list[float]:
    """The log-probability of each word at the first token of a choice's `logprobs`.

    A token stands for the word that it begins, with or without a space before it. A word that none of the listed tokens
    begins has the least log-probability listed. Raises Refused where the server lists no numbers, or no word at all.
    """
    tokens = read_tokens(logprobs)
    if not tokens:
        raise Refused("the server lists no log-probabilities, and the verdict is read from them")
    first = tokens[0]
    listed = [(text, value) for text, value in (*first.top, (first.text, first.logprob)) if value is not None]
    listed = [(text, value) for text, value in listed if math.isfinite(value)]
    known = [_begins(word, listed, [other for other in words if other != word]) for word in words]
    if all(value is None for value in known):
        shown = ", ".join(repr(text) for text, _ in listed[:5])
        raise Refused(f"the server lists neither {' nor '.join(words)} as the next token, but {shown or 'nothing'}")
    least = min(value for _, value in listed)
    return [least if value is None else value for value in known]


def _begins(word: str, listed: Sequence[tuple[str, float]], others: Sequence[str]) -> float | None:
    """The log-probability of the longest listed token that begins `word` and no other."""
    bare = word.strip()
    fits = [
        (len(text), value)
        for shown, value in listed
        if (text := _plain(shown))
        and bare.startswith(text)
        and not any(other.strip().startswith(text) for other in others)
    ]
    return max(fits)[1] if fits else None


def _plain(text: str) -> str:
    """A token without its space, in whatever way a server writes that."""
    return text.lstrip(" \u0120\u2581\n")
