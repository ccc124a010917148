"""Judge prompts are files with fields; a rollout fills them and can never reshape them.

Two notations load: our own named fields, and the three `{}` (problem, previous steps, now step) of R-PRM's released
`.txt` and `.json` prompts. Every other brace is literal text, and nothing is unescaped: a `\\n` in a text file is two
characters (it may begin `\\neq`). Which fields a prompt has depends on the family: `FORMS`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from rprm_jobs.errors import ConfigError
from rprm_jobs.judge.frames import find_frame
from rprm_jobs.judge.paragraphs import tag_paragraphs
from rprm_jobs.types import Message, Turn

FIELDS = ("problem", "previous_steps", "now_step")
TAGGED, NUMBERED, ONE_STEP = ("problem", "tagged_response"), ("problem", "numbered_steps"), ("problem", "step")
# The fields that stand together: of a step among the earlier ones, of paragraphs in tags (ProcessBench's own name for
# them), of numbered steps, and of a step as it is.
FORMS = (FIELDS, TAGGED, NUMBERED, ONE_STEP)
NO_PREVIOUS_STEPS = "Since the Now Step is the first step, there are no Previous Steps."
_NAMED = re.compile(r"\{(problem|previous_steps|now_step|tagged_response|numbered_steps|step)\}")
_HINT = (
    "use {problem}, {previous_steps} and {now_step} once each, or exactly three {}; for whole solutions {problem} with"
    " {tagged_response} or {numbered_steps}"
)
_EXAMPLE_HINT = 'each of the "examples" is an object with the texts "question" and "answer"'


def format_step(index: int, text: str) -> str:
    """A step as the judge reads it; `index` counts from 0, the printed number from 1."""
    return f"Step {index + 1}: {text}"


def format_previous(steps: Sequence[str]) -> str:
    """The steps before the one judged, one after the other, or the sentence that says there are none."""
    if not steps:
        return NO_PREVIOUS_STEPS
    return "\n".join(format_step(i, text) for i, text in enumerate(steps))


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """The user's message cut at its fields, `literals[0] fields[0] literals[1] ... literals[-1]`, and the turns around.

    `source` is the whole prompt as one text, which `parse` reads back: the message alone, a message in its own chat
    `frame`, or the JSON of a message with the turns `before` it.
    """

    source: str
    literals: tuple[str, ...]
    fields: tuple[str, ...]
    before: tuple[Turn, ...] = ()
    frame: tuple[str, str] | None = None

    @classmethod
    def parse(cls, source: str, *, where: str = "prompt", plain: bool = False) -> PromptTemplate:
        """Cut `source` at its fields. With `plain` it is a message alone, whatever it looks like.

        Raises ConfigError when a field is missing or there are too many.
        """
        if plain:
            return cls(source, *_cut(source, where))
        if (document := _as_document(source)) is not None:
            return _from_document(document, where)
        frame = find_frame(source, where=where)
        if frame is None:
            return cls(source, *_cut(source, where))
        whole = frame.head + frame.inner + frame.tail
        return cls(whole, *_cut(frame.inner, where), frame.before, (frame.head, frame.tail))

    @classmethod
    def load(cls, path: Path) -> PromptTemplate:
        """Read a `.txt` prompt, or a `.json` one, `{"system-prompt": "...", "examples": [], "template": "..."}`."""
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = (error.strerror or str(error)) if isinstance(error, OSError) else "it is not UTF-8"
            raise ConfigError(
                f"the prompt cannot be read: {reason}", where=str(path), hint="name a UTF-8 text file"
            ) from error
        if path.suffix == ".json":
            return _from_document(_read_document(text, str(path)), str(path))
        return cls.parse(text, where=str(path))

    @classmethod
    def default(cls) -> PromptTemplate:
        """The project's own prompt, for judges that bring none."""
        return cls.shipped("default")

    @classmethod
    def teacher(cls) -> PromptTemplate:
        """The same task with two worked examples, for a model that was never trained to judge."""
        return cls.shipped("teacher")

    @classmethod
    def shipped(cls, name: str) -> PromptTemplate:
        """One of the package's own prompts, by the name of its file without `.txt` (or with `.json`)."""
        file = name if name.endswith(".json") else f"{name}.txt"
        return cls.load(Path(str(files("rprm_jobs.judge") / "prompts" / file)))

    def with_system(self, text: str) -> PromptTemplate:
        """The same prompt with this system message. Raises ConfigError for a chat frame without a place for one."""
        if self.frame is not None:
            frame = find_frame(self.source, where="prompt")
            return self if frame is None else PromptTemplate.parse(frame.with_system(text))
        document = _as_document(self.source) or {"template": self.source}
        return _from_document({**document, "system-prompt": text}, "prompt")

    @property
    def fixed_characters(self) -> int:
        """Characters of what is asked besides the three fields: the message, the turns before it, its own frame."""
        texts = (*self.literals, *(self.frame or (turn.text for turn in self.before)))
        return sum(map(len, texts))

    def message(self, problem: str, steps: Sequence[str], index: int) -> Message:
        """What the judge is asked about `steps[index]` (0-based), or about all up to it; later steps are not shown."""
        return Message(self.render(problem, steps, index), self.before, self.frame)

    def render(self, problem: str, steps: Sequence[str], index: int) -> str:
        """The user's text alone, without a system message, examples or a chat frame."""
        values = {
            "problem": problem,
            "previous_steps": format_previous(steps[:index]),
            "now_step": format_step(index, steps[index]),
            "tagged_response": tag_paragraphs(steps[: index + 1]),
            "numbered_steps": "\n".join(format_step(i, text) for i, text in enumerate(steps[: index + 1])),
            "step": steps[index],
        }
        filled = [values[name] for name in self.fields]
        pieces = [text for pair in zip(self.literals, filled, strict=False) for text in pair]
        return "".join(pieces) + self.literals[-1]


def _cut(source: str, where: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    named = _NAMED.split(source)
    if len(named) > 1:
        literals, fields = tuple(named[0::2]), tuple(named[1::2])
    else:
        # What a brace is called in R-PRM's files, so that Python's format leaves it alone.
        parts = source.split("{}")
        literals = tuple(part.replace("left-brackets", "{").replace("right-brackets", "}") for part in parts)
        fields = FIELDS[: len(literals) - 1]
    if sorted(fields) not in [sorted(form) for form in FORMS] or len(literals) != len(fields) + 1:
        raise ConfigError("the judge prompt does not have its three fields", where=where, hint=_HINT)
    return literals, fields


def _read_document(text: str, where: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"not JSON: {error}", where=f"{where}:{error.lineno}", hint=_HINT) from error
    if not isinstance(document, dict) or not isinstance(document.get("template"), str):
        raise ConfigError('the prompt file has no "template" text', where=where, hint=_HINT)
    return document


def _as_document(source: str) -> dict[str, Any] | None:
    """`source` as the JSON that `_from_document` writes, if it is that."""
    if not source.startswith('{"'):
        return None
    try:
        document = json.loads(source)
    except ValueError:
        return None
    return document if isinstance(document, dict) and isinstance(document.get("template"), str) else None


def _from_document(document: dict[str, Any], where: str) -> PromptTemplate:
    template, system, examples = document["template"], document.get("system-prompt"), document.get("examples") or []
    if system is not None and not isinstance(system, str):
        raise ConfigError('"system-prompt" is no text', where=where, hint="write one text, or leave it out")
    if not isinstance(examples, list):
        raise ConfigError('"examples" is no list', where=where, hint=_EXAMPLE_HINT)
    before = [Turn("system", system)] if system is not None else []
    for example in examples:
        question, answer = (example.get(key) if isinstance(example, dict) else None for key in ("question", "answer"))
        if not isinstance(question, str) or not isinstance(answer, str):
            raise ConfigError("an example of the prompt file cannot be read", where=where, hint=_EXAMPLE_HINT)
        before += [Turn("user", question), Turn("assistant", answer)]
    literals, fields = _cut(template, where)
    if not before:
        return PromptTemplate(template, literals, fields)
    known = {"system-prompt": system, "examples": examples or None, "template": template}
    source = json.dumps({key: value for key, value in known.items() if value is not None}, ensure_ascii=False)
    return PromptTemplate(source, literals, fields, tuple(before))
