"""What a row format is: the fields by which a row is recognised, and how such a row becomes plain rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rprm_jobs.formats.readers.bad_row import BadRow, LeftOut, kind_of

PLAIN = frozenset({"id", "problem", "question", "steps", "solution", "response", "label", "step_labels", "reasoning"})
_KINDS: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "list": (list,),
    "object": (dict,),
    "number": (int, float),
    "id": (str, int),
    "messages": (list,),
    "texts": (str, list),
}


@dataclass(slots=True)
class ReadContext:
    """What a format may know beside the row: `problems` by custom_id (--join), and where it counts what it did.

    `labelled` asks PRM800K's for every rated completion, not for the chosen ones alone. That sets `rated`, and
    `unlabelled` to how many completions had no rating.
    """

    problems: Mapping[str, str] | None = None
    labelled: bool = False
    rated: bool = False
    unlabelled: int = 0
    notes: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Need:
    """A field that a format needs: one of `paths` (each a way into the row), of one of `kinds` (none: of any)."""

    text: str
    paths: tuple[tuple[str, ...], ...]
    kinds: tuple[type, ...]
    is_messages: bool = False

    @classmethod
    def parse(cls, text: str) -> Need:
        """From such as "prompt: text" or "doc.problem|doc.question"."""
        names, _, kind = text.partition(": ")
        paths = tuple(tuple(name.split(".")) for name in names.split("|"))
        return cls(names.replace("|", " or "), paths, _KINDS.get(kind, ()), kind == "messages")

    def field_in(self, row: Mapping[str, Any]) -> str:
        """The name of the field that the row has of these; the need's text where it has none."""
        names = (".".join(path) for path in self.paths if _value_at(row, path) is not None)
        return next(names, self.text)

    def problem_in(self, row: Mapping[str, Any]) -> str | None:
        """None where the row has it; "" where it is missing; else what it is instead."""
        problem = ""
        for path in self.paths:
            value = _value_at(row, path)
            if value is None:
                continue
            if self.kinds and type(value) not in self.kinds:
                problem = problem or f"{'.'.join(path)} is {kind_of(value)}, not {' or '.join(_distinct(self.kinds))}"
            elif self.is_messages and not _are_messages(value):
                problem = problem or f"{'.'.join(path)} is no list of messages"
            else:
                return None
        return problem


def _value_at(row: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = row
    for name in path:
        value = value.get(name) if type(value) is dict else None
    return value


def _distinct(kinds: Iterable[type]) -> list[str]:
    return list(dict.fromkeys(kind_of(kind()) for kind in kinds))


def _are_messages(value: list[Any]) -> bool:
    return bool(value) and type(value[0]) is dict and ("role" in value[0] or "from" in value[0])


Plain = dict[str, Any]
Convert = Callable[[dict[str, Any], ReadContext], Iterable[Plain | BadRow | LeftOut]]


@dataclass(frozen=True, slots=True)
class RowFormat:
    """One shape of rows. `convert` may raise BadRow or LeftOut for the whole row, or yield one in a rollout's place.

    `repeats`: several rows have one id because each is another rollout of its problem, so that ids get a number.
    `empty_steps`: an empty step is one, since the format's labels count it. `rollouts`: a model wrote the solutions, so
    that one without a text is left out and counted, not refused.
    `unless` names fields that only another format's rows have, `recognise` sees what names of fields do not tell.
    """

    name: str
    about: str
    needs: tuple[Need, ...]
    convert: Convert
    repeats: bool = False
    unless: tuple[str, ...] = ()
    recognise: Callable[[dict[str, Any]], bool] | None = None
    empty_steps: bool = False
    rollouts: bool = True

    def fits(self, row: dict[str, Any]) -> bool:
        """Whether the row is of this format."""
        if self.recognise is not None and not self.recognise(row):
            return False
        if any(name in row for name in self.unless):
            return False
        return all(need.problem_in(row) is None for need in self.needs)

    def fields_in(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        """The fields of the row by which it is recognised."""
        return tuple(need.field_in(row) for need in self.needs)


def needs(*texts: str) -> tuple[Need, ...]:
    """Needs from their texts: see `Need.parse`."""
    return tuple(Need.parse(text) for text in texts)


def plain(row: Mapping[str, Any], used: Iterable[str], **fields: Any) -> Plain:
    """A plain row of `fields` (those that are None are left out) and of what the row has beside `used`.

    A field that has a plain row's name and means something else is kept as `metadata.NAME`.
    """
    left = set(used)
    rest = {f"metadata.{k}" if k in PLAIN or k in fields else k: v for k, v in row.items() if k not in left}
    return {**{name: value for name, value in fields.items() if value is not None}, **rest}
