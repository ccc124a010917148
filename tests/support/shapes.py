"""Holds what a command printed with --json against the documented schema."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

SCHEMA = Path(__file__).parents[2] / "docs" / "json-output.schema.json"


@cache
def schema() -> dict[str, Any]:
    """The committed schema."""
    read: dict[str, Any] = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return read


def command_of(arguments: Sequence[str]) -> str:
    """The command that these words name: `pairs build` of ["pairs", "build", "1"]."""
    known = schema()["properties"]
    return next(name for name in (" ".join(arguments[:2]), arguments[0]) if name in known)


def check_shape(arguments: Sequence[str], printed: Any) -> None:
    """Fails where what was printed is not what the schema says of the command."""
    from jsonschema import Draft202012Validator

    name = command_of(arguments)
    validator = Draft202012Validator({**schema()["properties"][name], "$defs": schema()["$defs"]})
    faults = [f"{'/'.join(map(str, fault.absolute_path))}: {fault.message}" for fault in validator.iter_errors(printed)]
    assert not faults, f"{name} --json is not as docs/shapes has it: {faults[:5]}"
