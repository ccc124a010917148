"""When a text that is being decoded is done, and what it then is: a critique with P(Yes), or free text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rprm_jobs.engine import Generation
from rprm_jobs.judge.verdict import MARKER, cut_critique, p_yes, verdict_place
from rprm_jobs.types import Finish
from workers.engines.stop_strings import StopStrings, critique_tokens

Decode = Callable[[Sequence[int]], str]


@dataclass(frozen=True, slots=True)
class StopCriteria:
    """What ends a critique, and what is read off it: end-of-text ids and the tokens that tell Yes from No.

    `opening` is how every answer begins that the chat frame has begun (a thinking block), else empty.
    """

    eos: frozenset[int]
    yes_id: int
    no_id: int
    opening: str = ""


class StopChecker:
    """Looks at texts after each token. `decode` turns ids into text, `vocabulary` is the number of token ids."""

    def __init__(self, decode: Decode, stop_criteria: StopCriteria, vocabulary: int) -> None:
        self._decode, self._criteria, self._vocabulary = decode, stop_criteria, vocabulary
        self._breaks = frozenset(token for token in range(vocabulary) if "\n" in decode([token]))
        # Looking through the vocabulary takes a moment, and there are few sets of stop strings.
        self._stops: dict[tuple[str, ...], StopStrings] = {}

    def finished(
        self, ids: Sequence[int], pairs: Sequence[Sequence[float]], limit: int, stop: tuple[str, ...] | None
    ) -> Generation | None:
        """The text that the last of `ids` has completed, None while it goes on. `pairs` and `stop` are as in Row."""
        if stop is None:
            return self._finished_critique(ids, pairs, limit)
        if ids[-1] in self._criteria.eos:
            return Generation(self._decode(ids[:-1]), len(ids), Finish.STOP, None)
        if (cut := self._strings(stop).cut(ids)) is not None:
            return Generation(cut, len(ids), Finish.STOP, None)
        return Generation(self._decode(ids), len(ids), Finish.LENGTH, None) if len(ids) >= limit else None

    def _finished_critique(self, ids: Sequence[int], pairs: Sequence[Sequence[float]], limit: int) -> Generation | None:
        ended = ids[-1] in self._criteria.eos
        if not (ended or len(ids) >= limit or self._may_end_a_verdict_line(ids)):
            return None
        text, cut = cut_critique(self._text(ids[:-1] if ended else ids))
        if not (ended or cut or len(ids) >= limit):
            return None
        answers = self._criteria.yes_id, self._criteria.no_id
        place = verdict_place(text, ids, self._text, answers)
        return Generation(
            text,
            critique_tokens(text, ids, self._text),
            Finish.STOP if ended or cut else Finish.LENGTH,
            None if place is None else p_yes(*pairs[place]),
        )

    def _may_end_a_verdict_line(self, ids: Sequence[int]) -> bool:
        """Whether the last token ends a line that holds the verdict's question; looks at that line alone."""
        if ids[-1] not in self._breaks:
            return False
        start = len(ids) - 1
        while start > 0 and ids[start - 1] not in self._breaks:
            start -= 1
        return MARKER in self._decode(ids[max(0, start - 1) :])

    def _text(self, ids: Sequence[int]) -> str:
        return self._criteria.opening + self._decode(ids)

    def _strings(self, stop: tuple[str, ...]) -> StopStrings:
        if stop not in self._stops:
            self._stops[stop] = StopStrings(stop, self._decode, self._vocabulary)
        return self._stops[stop]
