"""The text of a solution as a scoring family lays it out: pieces, which of them are the family's own, and what is read.

Nothing is tokenised here but to ask the tokenizer for its chat template and its own special tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rprm_jobs.errors import JudgeError
from rprm_jobs.judge.families.scoring import Layout, Place, ScoreFamily

_NUMBER = re.compile(r"^\s*(?:Step\s+)?\d+[.:]\s+")
_PROBLEM, _STEP = "Zq7ProblemGoesHere7qZ", "Zq7Step{}GoesHere7qZ"
HINT = "use the model's own tokenizer, or name the model's own family with --family (rprm-jobs judges --families)"


@dataclass(frozen=True, slots=True)
class Layer:
    """A piece of the text. `own` pieces are the family's and may hold special tokens, the others are the rollout's.

    `step` is the 0-based step that is read at this piece; a `dropped` piece is tokenised and then taken out.
    """

    text: str
    own: bool = True
    step: int | None = None
    dropped: bool = False


class SolutionLayout:
    """Lays solutions out for a family. Raises JudgeError where the tokenizer lacks what the family uses."""

    def __init__(self, tokenizer: Any, family: ScoreFamily) -> None:
        self._tokenizer, self._family = tokenizer, family
        self._frames: dict[int, tuple[str, ...]] = {}
        self.tag = self._filled(family.tag)

    def layers(self, problem: str, steps: Sequence[str]) -> Iterator[Layer]:
        """The pieces in order; the question's are the first three, where there is no chat frame."""
        family, literal = self._family, self._filled
        steps = [self._cleaned(step) for step in steps]
        if family.layout is Layout.TURNS:
            yield from self._turns(problem, steps)
            return
        before, middle, after = self._chat_frame() if family.layout is Layout.CHAT else ("", "", "")
        opening, closing = literal(family.question).split("{problem}")
        drops = family.drop_tag and closing.endswith(self.tag)
        yield Layer(before + opening)
        yield Layer(problem, own=False)
        yield Layer(closing.removesuffix(self.tag) if drops else closing)
        if drops:
            yield Layer(self.tag, dropped=True)
        yield Layer(middle)
        for number, step in enumerate(steps):
            yield from self._step(number, step, last=number == len(steps) - 1)
        yield Layer(after)

    def _step(self, number: int, step: str, *, last: bool) -> Iterator[Layer]:
        family = self._family
        opening, closing = family.step.replace("{number}", str(number + 1)).split("{step}")
        at_end = family.place is Place.STEP_END
        yield Layer(opening)
        yield Layer(step, own=False, step=number if at_end else None)
        yield Layer(closing)
        if self.tag:
            yield Layer(self.tag, step=None if at_end else number, dropped=family.drop_tag)
        yield Layer("" if last else family.joint)

    def _turns(self, problem: str, steps: Sequence[str]) -> Iterator[Layer]:
        """User turns with the problem before the first step; each is answered with the tag."""
        opening, closing = self._filled(self._family.question).split("{problem}")
        frames = self._turn_frames(len(steps))
        yield Layer(frames[0] + opening)
        yield Layer(problem, own=False)
        yield Layer(closing)
        for number, step in enumerate(steps):
            yield Layer(step, own=False)
            yield Layer(frames[2 * number + 1])
            yield Layer(self.tag, step=number)
            yield Layer(frames[2 * number + 2])

    def _cleaned(self, step: str) -> str:
        family = self._family
        text = _NUMBER.sub("", step, count=1) if family.strip_number else step
        text = text.replace("\n\n", "") if family.no_blank_lines else text
        return text.strip() if family.strip or family.layout is Layout.TURNS else text

    def _filled(self, text: str) -> str:
        for name in ("bos", "pad"):
            if f"{{{name}}}" in text:
                token = getattr(self._tokenizer, f"{name}_token")
                if token is None:
                    raise JudgeError(
                        f"the tokenizer has no {name} token, which family {self._family.name} uses", hint=HINT
                    )
                text = text.replace(f"{{{name}}}", token)
        return text

    def _chat_frame(self) -> tuple[str, str, str]:
        """What the chat template puts before the problem, between it and the steps, and behind them."""
        if 0 not in self._frames:
            turns = [("user", _PROBLEM)]
            answer = _STEP.format(1)
            if self._family.system is not None:
                turns.insert(0, ("system", self._family.system))
            if self._family.open_end:
                text = self._templated(turns, opens=True) + answer
            else:
                text = self._templated([*turns, ("assistant", answer)])
            self._frames[0] = self._cut(text, [_PROBLEM, answer])
        before, middle, after = self._frames[0]
        return before, middle, after

    def _turn_frames(self, n_steps: int) -> tuple[str, ...]:
        """What stands before, between and behind `n_steps` pairs of turns, 2n + 1 texts."""
        if n_steps not in self._frames:
            names = [_STEP.format(i) for i in range(2 * n_steps)]
            turns = [("system", self._family.system)] if self._family.system is not None else []
            roles = ("user", "assistant")
            text = self._templated([*turns, *((roles[i % 2], name) for i, name in enumerate(names))])
            self._frames[n_steps] = self._cut(text, names)
        return self._frames[n_steps]

    def _templated(self, turns: Sequence[tuple[str, str]], *, opens: bool = False) -> str:
        if not getattr(self._tokenizer, "chat_template", None):
            raise JudgeError("the tokenizer has no chat template", hint="add chat_template.jinja to the judge's folder")
        messages = [{"role": role, "content": text} for role, text in turns]
        try:
            framed = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=opens)
        # A template is a program of the judge's author, and may raise anything.
        except Exception as error:
            why = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise JudgeError(f"the chat template fails: {why}", hint="correct chat_template.jinja") from error
        return str(framed)

    def _cut(self, text: str, names: Sequence[str]) -> tuple[str, ...]:
        parts = []
        for name in names:
            if text.count(name) != 1:
                raise JudgeError("the chat template does not show each turn exactly once")
            part, text = text.split(name)
            parts.append(part)
        return (*parts, text)
