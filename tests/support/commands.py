"""The commands of a Typer application by their full names, for tests of completeness."""

from __future__ import annotations

from typing import Any

import typer
import typer.main


def commands(app: typer.Typer) -> dict[str, Any]:
    """`{"submit": command, "db upgrade": command, ...}`."""
    return dict(_walk("", typer.main.get_command(app)))


def _walk(prefix: str, group: Any) -> list[tuple[str, Any]]:
    by_name: list[tuple[str, Any]] = []
    for name, command in group.commands.items():
        full = f"{prefix} {name}".strip()
        by_name += _walk(full, command) if hasattr(command, "commands") else [(full, command)]
    return by_name
