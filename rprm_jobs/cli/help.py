"""`help`: the help of a command, as `--help` behind it prints it."""

from __future__ import annotations

from typing import Annotated, Any

import typer
import typer.main

from rprm_jobs.cli.shared.command import SERVERS, add_command
from rprm_jobs.errors import ConfigError


def help_command(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="COMMAND", help="The command.", show_default="list all commands")
    ] = None,
) -> None:
    """Show the help of a command."""
    root = context.find_root()
    command: Any = root.command
    path = root.info_name or "rprm-jobs"
    for name in names or ():
        inner = getattr(command, "commands", {}).get(name)
        if inner is None:
            raise ConfigError(f"there is no command {name!r}", hint=f"{path} --help")
        command, path = inner, f"{path} {name}"
    command.main(["--help"], prog_name=path, standalone_mode=False)


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, help_command, "rprm-jobs help submit", "rprm-jobs help pairs build", name="help", group=SERVERS)
