"""Where generated text ends: stop strings found without decoding all of it at every token, and a critique's tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rprm_jobs.judge.verdict import find_verdicts, tokens_reaching

Decode = Callable[[Sequence[int]], str]
_SPARE_TOKENS = 8


class StopStrings:
    """Tells when generated ids have just completed one of `stops`; `decode` turns ids into text.

    Only a token whose text can be the end of a stop string is looked at further, and then only the tail is decoded.
    """

    def __init__(self, stops: Sequence[str], decode: Decode, vocabulary: int) -> None:
        self._stops = tuple(stops)
        self._decode = decode
        # A token holds at least one character of the stop string, save a few that decode to nothing.
        self._window = max(map(len, stops), default=0) + _SPARE_TOKENS
        endings = tuple({stop[i:] for stop in stops for i in range(len(stop))})
        self._enders = frozenset(
            token
            for token in range(vocabulary)
            if (text := decode([token])).startswith(endings) or any(stop in text for stop in stops)
        )

    def cut(self, ids: Sequence[int]) -> str | None:
        """The text of `ids` up to the end of the first stop string if the last token completed one, else None."""
        if ids[-1] not in self._enders:
            return None
        tail = self._decode(ids[-self._window :])
        if not any(stop in tail for stop in self._stops):
            return None
        return cut_at_stop(self._decode(ids), self._stops)


def cut_at_stop(text: str, stops: Sequence[str]) -> str:
    """`text` up to the end of the stop string that ends first in it; all of it when there is none."""
    ends = [at + len(stop) for stop in stops if (at := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text


def critique_tokens(text: str, ids: Sequence[int], decode: Decode) -> int:
    """Tokens of a critique, up to the end of its verdict: a token that only showed that it was whole does not count.

    Without a verdict all of `ids` count. `text` is the beginning of `decode(ids)`.
    """
    return tokens_reaching(len(text), ids, decode) if find_verdicts(text) else len(ids)
