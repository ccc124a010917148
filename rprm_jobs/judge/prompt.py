"""Judge prompts are files with three fields; a rollout fills them and can never reshape them.

Two notations load: our own named fields `{problem}`, `{previous_steps}`, `{now_step}`, and the three `{}` (problem,
previous steps, now step) of R-PRM's released `.txt` and `.json` prompts. Every other brace is literal text, and
nothing is unescaped: a `\\n` in a text file is two characters (it may begin `\\neq`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

from rprm_jobs.errors import ConfigError

FIELDS = ("problem", "previous_steps", "now_step")
NO_PREVIOUS_STEPS = "Since the Now Step is the first step, there are no Previous Steps."
_NAMED = re.compile(r"\{(problem|previous_steps|now_step)\}")
_HINT = "use {problem}, {previous_steps} and {now_step} once each, or exactly three {}"


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
    """A prompt cut at its fields: `literals[0] fields[0] literals[1] fields[1] ... literals[-1]`."""

    source: str
    literals: tuple[str, ...]
    fields: tuple[str, ...]

    @classmethod
    def parse(cls, source: str, *, where: str = "prompt") -> PromptTemplate:
        """Cut `source` at its fields. Raises ConfigError when a field is missing or there are too many."""
        named = _NAMED.split(source)
        if len(named) > 1:
            literals, fields = tuple(named[0::2]), tuple(named[1::2])
        else:
            literals = tuple(source.split("{}"))
            fields = FIELDS[: len(literals) - 1]
        if sorted(fields) != sorted(FIELDS) or len(literals) != len(FIELDS) + 1:
            raise ConfigError("the judge prompt does not have its three fields", where=where, hint=_HINT)
        return cls(source, literals, fields)

    @classmethod
    def load(cls, path: Path) -> PromptTemplate:
        """Read a `.txt` prompt, or a `.json` one of the form `{"examples": [], "template": "..."}`."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"the prompt cannot be read: {error}", where=str(path), hint="name a UTF-8 text file"
            ) from error
        if path.suffix == ".json":
            text = _json_template(text, str(path))
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
    def shipped(cls, name: Literal["default", "teacher"]) -> PromptTemplate:
        """One of the package's own prompts."""
        return cls.parse((files("rprm_jobs.judge") / "prompts" / f"{name}.txt").read_text(encoding="utf-8"))

    def render(self, problem: str, steps: Sequence[str], index: int) -> str:
        """The user message that asks for a critique of `steps[index]` (0-based); later steps are not shown."""
        values = {
            "problem": problem,
            "previous_steps": format_previous(steps[:index]),
            "now_step": format_step(index, steps[index]),
        }
        filled = [values[name] for name in self.fields]
        pieces = [text for pair in zip(self.literals, filled, strict=False) for text in pair]
        return "".join(pieces) + self.literals[-1]


def _json_template(text: str, where: str) -> str:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"not JSON: {error}", where=f"{where}:{error.lineno}", hint=_HINT) from error
    if not isinstance(document, dict) or not isinstance(document.get("template"), str):
        raise ConfigError('the prompt file has no "template" text', where=where, hint=_HINT)
    if document.get("examples"):
        raise ConfigError(
            "the prompt file has few-shot examples, which a trained judge has never seen",
            where=where,
            hint='empty the "examples" list',
        )
    return str(document["template"])
