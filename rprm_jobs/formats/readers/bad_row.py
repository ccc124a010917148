"""Why one row is not a solution: refused, or left out on purpose. Both are facts about the row and stop nothing."""

from __future__ import annotations

from typing import Any

_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", int: "a number", float: "a number"}


class BadRow(Exception):
    """The row is refused; `str()` is the reason."""


class LeftOut(Exception):
    """The row is no rollout to judge (its request failed, say): it is counted by this reason and passed over."""


def kind_of(value: Any) -> str:
    """What a value is, in a message's words."""
    return "null" if value is None else _KINDS.get(type(value), type(value).__name__)
