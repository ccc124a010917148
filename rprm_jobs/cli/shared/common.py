"""What all commands share: how messages, errors and JSON are printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rprm_jobs.cli.shared.streams import forget_messages


@dataclass
class State:
    """What the global options set, and --json wherever it stands."""

    debug: bool = False
    as_json: bool = False


def say(message: str) -> None:
    """Print a message for a person, on stderr. One that cannot be written stops nothing."""
    try:
        print(message, file=sys.stderr, flush=True)
    except OSError:
        forget_messages()


def print_json(value: Any) -> None:
    """The one JSON value of a command, on stdout; in ASCII, which every encoding of a terminal can carry."""
    print(json.dumps(value, default=str), flush=True)


def print_json_rows(
    head: Mapping[str, Any], rows: Iterable[Mapping[str, Any]], tail: Callable[[int], Mapping[str, Any]]
) -> int:
    """The one JSON value of a command that has rows: `head`, `results`, and what `tail` makes of their number.

    Rows are printed as they come, so that there may be any number of them. Returns the number.
    """
    count = 0
    print(f'{json.dumps(dict(head), default=str)[:-1]}, "results": [', end="")
    for row in rows:
        print(", " if count else "", json.dumps(row, default=str), sep="", end="")
        count += 1
    print(f"], {json.dumps(dict(tail(count)), default=str)[1:]}", flush=True)
    return count


def human_bytes(count: float) -> str:
    """`count` bytes in a readable unit."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def human_time(seconds: float) -> str:
    """`seconds` in readable units."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
