"""`-` as the place of an output: standard output for rows and for a page alone, never a file or a folder called `-`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import typer

from rprm_jobs.errors import ConfigError

STANDARD_OUTPUT = Path("-")


def not_standard_output(example: str) -> Callable[[typer.CallbackParam, Path | None], Path | None]:
    """The callback of an option that takes no `-`; `example` is what its hint names. It raises ConfigError."""

    def check(param: typer.CallbackParam, value: Path | None) -> Path | None:
        if value == STANDARD_OUTPUT:
            option = max(param.opts, key=len)
            raise ConfigError(
                f"{option} -: this cannot be written to standard output", hint=f"give it a name: {option} {example}"
            )
        return value

    return check
