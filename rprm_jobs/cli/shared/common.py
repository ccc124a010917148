"""What all commands share: the way to an open context, and how messages, errors and JSON are printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rprm_jobs.cli.shared.streams import forget_messages
from rprm_jobs.errors import InputError, RprmError

if TYPE_CHECKING:
    from rprm_jobs.services.context import Context
    from rprm_jobs.settings import Settings


@dataclass
class State:
    """What the global options set."""

    debug: bool = False


def server_settings() -> Settings:
    """The settings with the URLs of both servers; a server that is not configured is embedded, and started."""
    from rprm_jobs.settings import load_settings

    settings = load_settings()
    if settings.database_url and settings.redis_url:
        return settings
    from rprm_jobs.local import ensure_services

    return ensure_services(settings)


@contextmanager
def connected(*, check_schema: bool = True) -> Iterator[Context]:
    """An open context. An embedded database is migrated on the way; a configured one is left to `db upgrade`."""
    from rprm_jobs.services.context import open_context, upgrade_schema
    from rprm_jobs.settings import load_settings

    embedded = load_settings().database_url is None
    with open_context(server_settings(), check_schema=check_schema and not embedded) as context:
        if embedded:
            upgrade_schema(context)
        yield context


def say(message: str) -> None:
    """Print a message for a person, on stderr. One that cannot be written stops nothing."""
    try:
        print(message, file=sys.stderr, flush=True)
    except OSError:
        forget_messages()


def print_json(value: Any) -> None:
    """The one JSON value of a command, on stdout; in ASCII, which every encoding of a terminal can carry."""
    print(json.dumps(value, default=str), flush=True)


def show_error(error: RprmError) -> None:
    """Print what went wrong, where, and the hint; for a refused input also its first bad rows."""
    say(f"error: {error}")
    if isinstance(error, InputError):
        for bad in error.bad_lines:
            say(f"  {bad}")
        if error.n_bad > len(error.bad_lines) > 0:
            say(f"  ... and {error.n_bad - len(error.bad_lines)} more")


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
