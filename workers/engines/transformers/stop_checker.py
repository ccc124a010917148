"""When a text that is being decoded is done, and what it then is: a critique with P(Yes), or free text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rprm_jobs.engine import Generation
from rprm_jobs.judge.verdict import STOP_STRINGS, p_yes, verdict_place
from rprm_jobs.types import Finish
from workers.engines.stop_strings import StopStrings


@dataclass(frozen=True, slots=True)
class StopCriteria:
    """What ends a critique, and what is read off it: end-of-text ids and the first tokens of " Yes" and " No"."""

    eos: frozenset[int]
    yes_id: int
    no_id: int


class StopChecker:
    """Looks at texts after each token. `decode` turns ids into text, `vocabulary` is the number of token ids."""

    def __init__(self, decode: Callable[[Sequence[int]], str], stop_criteria: StopCriteria, vocabulary: int) -> None:
        self._decode, self._criteria, self._vocabulary = decode, stop_criteria, vocabulary
        # Looking through the vocabulary takes a moment, and there are few sets of stop strings.
        self._stops: dict[tuple[str, ...], StopStrings] = {}

    def finished(
        self, ids: Sequence[int], pairs: Sequence[Sequence[float]], limit: int, stop: tuple[str, ...] | None
    ) -> Generation | None:
        """The text that the last of `ids` has completed, None while it goes on. `pairs` and `stop` are as in Row."""
        if ids[-1] in self._criteria.eos:
            text, finish = self._decode(ids[:-1]), Finish.STOP
        elif (cut := self._strings(STOP_STRINGS if stop is None else stop).cut(ids)) is not None:
            text, finish = cut, Finish.STOP
        elif len(ids) >= limit:
            text, finish = self._decode(ids), Finish.LENGTH
        else:
            return None
        place = verdict_place(text, ids, self._decode) if stop is None else None
        return Generation(text, len(ids), finish, None if place is None else p_yes(*pairs[place]))

    def _strings(self, stop: tuple[str, ...]) -> StopStrings:
        if stop not in self._stops:
            self._stops[stop] = StopStrings(stop, self._decode, self._vocabulary)
        return self._stops[stop]
