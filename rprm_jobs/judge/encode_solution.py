"""From a solution to token ids and the places where its steps are read, as a scoring family lays them out.

The text is tokenised in one piece, so that the ids are those of the published code, and the family's own tags are found
by their position in the text. What a step says is text: a tag or a special token inside it is never read as one.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rprm_jobs.errors import JudgeError
from rprm_jobs.judge.families.scoring import Head, Layout, Place, ScoreFamily
from rprm_jobs.judge.solution_layout import HINT, Layer, SolutionLayout


@dataclass(frozen=True, slots=True)
class EncodedSolution:
    """The ids of a solution, and for each step the index among them at which it is read.

    `answer` is the index of the first token of the solution, behind the problem.
    """

    ids: tuple[int, ...]
    places: tuple[int, ...]
    answer: int = 0


class SolutionEncoder:
    """Wraps a Hugging Face fast tokenizer. Raises JudgeError when it does not have what the family reads."""

    def __init__(self, tokenizer: Any, family: ScoreFamily) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise JudgeError("the judge has no fast tokenizer", hint="put tokenizer.json beside its weights")
        self._tokenizer, self._family = tokenizer, family
        # Special or not: any added token is found in text before anything else is.
        self._added = {int(i): str(token.content) for i, token in tokenizer.added_tokens_decoder.items()}
        self._counts: dict[str, int] = {}
        # As of SentencePiece: whatever a text begins with, its first token is a space.
        self._begins_with_space = tokenizer.convert_ids_to_tokens(self._own("\n"))[:1] == ["\u2581"]
        self._layout = SolutionLayout(tokenizer, family)
        self._tag = self._layout.tag
        self._bos = self._first_token()
        self._check_tag()
        self.label_ids = self._labels()

    def encode(self, problem: str, steps: Sequence[str]) -> EncodedSolution:
        """The ids and places of a solution."""
        layers = list(self._layout.layers(problem, steps))
        if self._family.pieces:
            return self._joined([*self._grouped(layers)])
        return self._whole(layers) or self._joined(layers)

    def _whole(self, layers: Sequence[Layer]) -> EncodedSolution | None:
        """All in one piece; None where a rollout's text would become a special token, or a tag is no token of its own.

        A tag may be swallowed by the text beside it: a step that ends in a line break before a tag of line breaks.
        """
        text = "".join(layer.text for layer in layers)
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids: list[int] = encoded["input_ids"]
        expected = sum(self._count_added(layer.text) for layer in layers if layer.own)
        if sum(i in self._added for i in ids) != expected:
            return None
        starts, ends = zip(*encoded["offset_mapping"], strict=True) if ids else ((), ())
        spans, start = [], 0
        for layer in layers:
            spans.append(_tokens_of(start, start + len(layer.text), starts, ends))
            start += len(layer.text)
        return self._placed(layers, ids, spans)

    def _joined(self, layers: Sequence[Layer]) -> EncodedSolution:
        """Each layer by itself. A tag is then a token of its own, whatever stands before it."""
        ids: list[int] = []
        spans = []
        for layer in layers:
            encode = self._own if layer.own else self._plain
            # Behind other text: what such a tokenizer puts before a text is left out.
            piece = encode(f"\n{layer.text}")[2:] if self._begins_with_space and ids else encode(layer.text)
            spans.append((len(ids), len(ids) + len(piece), True))
            ids += piece
        placed = self._placed(layers, ids, spans)
        if placed is None:
            raise JudgeError("the judge's tags have no tokens", hint=HINT)
        return placed

    def _grouped(self, layers: Sequence[Layer]) -> Iterator[Layer]:
        """Tags and steps as they are; the pieces of the question in one, where it holds nothing that is special."""
        question, rest = layers[:3], layers[3:]
        text = "".join(layer.text for layer in question)
        if self._count_added(text) == sum(self._count_added(layer.text) for layer in question if layer.own):
            yield Layer(text)
        else:
            yield from question
        yield from (layer for layer in rest if layer.text)

    def _placed(
        self, layers: Sequence[Layer], ids: Sequence[int], spans: Sequence[tuple[int, int, bool]]
    ) -> EncodedSolution | None:
        """The ids without what is dropped, and the places; None where a tag shares a token with what is around it."""
        dropped = [i for layer, (a, b, _) in zip(layers, spans, strict=True) if layer.dropped for i in range(a, b)]
        places = []
        for layer, (first, end, apart) in zip(layers, spans, strict=True):
            if layer.step is None:
                continue
            if layer.own and (not apart or (first == end)):
                return None
            places.append(self._place(first, end, dropped))
        answer = next((a for layer, (a, *_) in zip(layers, spans, strict=True) if layer.step == 0), 0)
        shift = len(self._bos)
        left_out = set(dropped)
        kept = [token for i, token in enumerate(ids) if i not in left_out] if dropped else ids
        return EncodedSolution(
            (*self._bos, *kept),
            tuple(place + shift for place in places),
            answer - bisect_left(dropped, answer) + shift,
        )

    def _place(self, first: int, end: int, dropped: Sequence[int]) -> int:
        """Where the step is read among the ids that are kept; `dropped` are the places of the others, in order."""
        place = self._family.place
        old = end - 1 if place in (Place.TAG, Place.STEP_END) else first if place is Place.TAG_START else first - 1
        # What stands before a tag may itself be dropped.
        while old in dropped:
            old -= 1
        return max(0, old - bisect_left(dropped, old) - (place is Place.BEFORE_STEP_END))

    def _own(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False) if text else []
        return ids

    def _plain(self, text: str) -> list[int]:
        """Ids of text that holds no added token, whatever is written in it."""
        if not text:
            return []
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        if self._added.keys().isdisjoint(ids):
            return ids
        # Those that are added without being special are still found: each is cut in two.
        marks = [re.escape(mark) for mark in self._added.values() if len(mark) > 1 and mark in text]
        cut = re.sub(f"({'|'.join(marks)})", lambda mark: f"{mark[0][0]}\0{mark[0][1:]}", text) if marks else text
        return [i for part in cut.split("\0") for i in self._own(part)] if marks else ids

    def _count_added(self, text: str) -> int:
        if text not in self._counts:
            if len(self._counts) > 4096:
                self._counts.clear()
            self._counts[text] = sum(i in self._added for i in self._own(text))
        return self._counts[text]

    def _first_token(self) -> tuple[int, ...]:
        """The token that begins every text of this tokenizer, where no chat frame brings it and no text names it."""
        family = self._family
        if family.layout is not Layout.TEXT or "{bos}" in family.question or family.pieces:
            return ()
        beginning = self._tokenizer.encode("", add_special_tokens=True)
        return tuple(beginning[:1]) if beginning[:1] == [self._tokenizer.bos_token_id] else ()

    def _check_tag(self) -> None:
        """Raise JudgeError where the tag is not one token in its place."""
        if not self._tag or self._family.place in (Place.STEP_END, Place.TAG_START):
            return
        layers = list(self._layout.layers("1 + 1", ["two", "three"]))
        encoded = self._joined(layers) if self._family.pieces else self._whole(layers)
        ids = self._own(self._tag)
        if encoded is None or (self._family.pieces and len(ids) != 1) or not self._is_one_token(layers):
            raise JudgeError(
                f"the tokenizer has no token {self._tag!r}, at which family {self._family.name} reads a step:"
                f" it makes {len(ids)} of it",
                hint=HINT,
            )

    def _is_one_token(self, layers: Sequence[Layer]) -> bool:
        if self._family.pieces:
            return True
        text = "".join(layer.text for layer in layers)
        starts, ends = zip(
            *self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"], strict=True
        )
        start = 0
        for layer in layers:
            # The space before a tag may be a token of its own; of line breaks it is the tag.
            indent = len(layer.text) - len(layer.text.lstrip()) if layer.text.strip() else 0
            first, end, _ = _tokens_of(start + indent, start + len(layer.text), starts, ends)
            start += len(layer.text)
            if layer.text == self._tag and layer.own and end - first != 1:
                return False
        return True

    def _labels(self) -> tuple[int, ...]:
        family = self._family
        if family.head is not Head.VOCABULARY:
            return ()
        if family.label_tokens:
            ids = list(family.label_tokens)
            if max(ids) >= len(self._tokenizer):
                raise JudgeError(f"the tokenizer has no token {max(ids)}", hint=HINT)
        else:
            ids = [self._own(label)[-1] for label in family.labels]
            words = [self._tokenizer.decode([i]).strip() for i in ids]
            if words != [label.strip() for label in family.labels]:
                raise JudgeError(f"the tokenizer has no tokens {' and '.join(map(repr, family.labels))}", hint=HINT)
        if len(set(ids)) != len(ids):
            raise JudgeError("the labels that the judge chooses from are one token", hint=HINT)
        return tuple(ids)


def _tokens_of(start: int, end: int, starts: Sequence[int], ends: Sequence[int]) -> tuple[int, int, bool]:
    """The tokens that overlap the characters `start` to `end`: the first, the one behind the last, whether they stay
    inside.
    """
    first, behind = bisect_right(ends, start), bisect_left(starts, end)
    if start == end or first >= behind:
        return first, first, True
    return first, behind, starts[first] >= start and ends[behind - 1] <= end
