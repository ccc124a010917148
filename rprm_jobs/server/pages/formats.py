"""How the pages write numbers, times and rewards."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def duration(seconds: float | None) -> str:
    """`2 h 5 min`: the two largest units."""
    if seconds is None:
        return "unknown"
    rest, parts = int(seconds), list[tuple[int, str]]()
    for size, unit in _UNITS:
        if rest >= size or parts:
            parts.append((rest // size, unit))
            rest %= size
    return " ".join(f"{count} {unit}" for count, unit in parts[:2] if count) or "0 s"


def ago(at: datetime | None, now: datetime | None = None) -> str:
    """`5 min ago`."""
    if at is None:
        return "never"
    seconds = ((now or datetime.now(UTC)) - at).total_seconds()
    return "just now" if seconds < 5 else f"{duration(seconds)} ago"


def clock(at: datetime | None) -> str:
    """Date and time in UTC."""
    return "-" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def number(value: float | None) -> str:
    """`1,234` or, below 100 with a fraction, `4.2`."""
    if value is None:
        return "-"
    return f"{value:,.1f}" if isinstance(value, float) and abs(value) < 100 else f"{value:,.0f}"


def percent(value: float | None) -> str:
    """A share as `93.1%`."""
    return "-" if value is None else f"{100 * value:.1f}%"


def reward(value: float | None) -> str:
    """Two digits; a dash where there is none, which is no reward of zero."""
    return "–" if value is None else f"{value:.2f}"


def shade(value: float | None) -> str:
    """The class that colours a reward: ten of them, and one for none."""
    return "none" if value is None else f"r{min(9, int(10 * max(0.0, value)))}"


def step_name(first_error: int | None) -> str:
    """A first error for people, who count steps from 1."""
    if first_error is None:
        return "–"
    return "none" if first_error == -1 else f"step {first_error + 1}"


FILTERS: dict[str, Callable[..., Any]] = {
    "duration": duration,
    "ago": ago,
    "clock": clock,
    "number": number,
    "percent": percent,
    "reward": reward,
    "shade": shade,
    "step_name": step_name,
}
