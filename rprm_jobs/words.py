"""Words of messages, which every layer prints."""

from __future__ import annotations


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 step`, `2,000 steps`; `plural` where it is not the noun with an s."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
