"""What stories of hints type besides our own commands: Python programs, and requests to the service by curl."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import httpx

from rprm_jobs import Client, errors

# What curl ends with when --fail-with-body meets an error of HTTP.
_REFUSED = 22


def run_program(text: str) -> int:
    """Run it with `Client` imported; what it does not catch is printed as Python prints it, at its end."""
    with contextlib.ExitStack() as clients:
        return _ended(text, lambda *values: clients.enter_context(Client(*values)))


def _ended(text: str, client: Callable[..., Client]) -> int:
    try:
        exec(text, {"Client": client})
    except errors.RprmError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def curl(words: list[str], before: str) -> int:
    """What `curl --fail-with-body` does with `-H NAME:VALUE`, `-d BODY`, `-d @FILE` and a URL.

    TOKEN in a header stands for the last word that was printed `before`, as a reader copies it.
    """
    headers, content = {}, None
    while words[0] in ("-H", "-d"):
        if words[0] == "-H":
            name, _, value = words[1].partition(":")
            headers[name] = value.strip().replace("TOKEN", (before.split() or ["TOKEN"])[-1])
        else:
            content = Path(words[1][1:]).read_bytes() if words[1][0] == "@" else words[1].encode()
            headers.setdefault("Content-Type", "application/json")
        words = words[2:]
    answer = httpx.request("GET" if content is None else "POST", words[0], headers=headers, content=content)
    print(answer.text)
    return 0 if answer.is_success else _REFUSED


@contextlib.contextmanager
def without(module: str) -> Iterator[None]:
    """Importing this module fails, as where it is not installed."""
    if not module:
        yield
        return
    hidden = {name: None for name in sys.modules if name == module or name.startswith(f"{module}.")}
    with mock.patch.dict(sys.modules, {module: None, **hidden}):
        yield
