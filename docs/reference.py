"""The reference pages, generated from the code: `python -m docs.reference` writes them, and a test compares them.

`commands.md` is what the command line says of itself, `configuration.md` what `rprm_jobs.settings` says of its
variables. To change a sentence there, change the help text in the code.
"""

from __future__ import annotations

import json
from argparse import BooleanOptionalAction
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
import typer
import typer.main

from docs.shapes import ERROR, OR_AS, SHAPES
from rprm_jobs.cli import app
from rprm_jobs.settings import VARIABLES, Limits, Settings, Variable
from training.options import phase_parser

HERE = Path(__file__).parent
_COMMANDS_HEAD = """\
# Commands

Generated from the code by `python -m docs.reference`.

Data goes to standard output, messages to standard error. `--json` prints one JSON value for programs, of the shape that
[json-output.schema.json](json-output.schema.json) has under the command's name, and an error as a last line of JSON on
standard error. `--debug`, wherever it stands, shows tracebacks. Progress bars appear only where standard error is a
terminal; `NO_COLOR` is respected. Ctrl-C ends the command and leaves its job as it is. [Exit codes](exit-codes.md) has
the statuses. `rprm-jobs --install-completion` makes the shell complete commands, options, ids and names.
"""
_CONFIGURATION = """\
# Configuration

Generated from the code by `python -m docs.reference`.

Every process reads these environment variables when it starts. An unknown `RPRM_` variable is an error, because a
misspelt setting must not be dropped in silence.

{table}

Passwords belong into the environment or an `.env` file, never into arguments. Messages and logs mask them. Without URLs
the [embedded servers](operations.md#embedded-servers) are used.
"""


def pages() -> dict[str, str]:
    """`{file name: text}` of every generated page."""
    return {
        "commands.md": "\n".join(_commands()) + "\n",
        "configuration.md": _CONFIGURATION.format(table=_variables()),
        "json-output.schema.json": json.dumps(output_schema(), indent=1) + "\n",
    }


def output_schema() -> dict[str, Any]:
    """The JSON Schema of what each command prints with --json, by command under `properties`; `error` is on stderr."""
    names = list(SHAPES)
    schemas, definitions = msgspec.json.schema_components(SHAPES.values(), ref_template="#/$defs/{name}")
    for definition in definitions.values():
        if "properties" in definition:
            definition["additionalProperties"] = False
    properties = dict(zip(names, schemas, strict=True))
    properties |= {name: {"anyOf": [properties[name], properties[other]]} for name, other in OR_AS.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What each command of rprm-jobs prints with --json",
        "properties": properties | {"error": ERROR},
        "$defs": definitions,
    }


def _commands() -> Iterator[str]:
    commands = list(_walk("", "", typer.main.get_command(app)))
    yield _COMMANDS_HEAD
    for number, panel in enumerate(dict.fromkeys(panel for _, panel, _ in commands)):
        gap = "\n" if number else ""
        yield f"{gap}**{panel}**\n"
        yield "| command | what it does |\n|---|---|"
        for name, its_panel, command in commands:
            if its_panel == panel:
                yield f"| [`{name}`](#{name.replace(' ', '-')}) | {_cell(_first_sentence(command.help))} |"
    for name, _, command in commands:
        yield f"\n## {name}\n"
        yield from _command(name, command)


def _walk(prefix: str, panel: str, group: Any) -> Iterator[tuple[str, str, Any]]:
    for name, command in group.commands.items():
        full = f"{prefix} {name}".strip()
        its_panel = getattr(command, "rich_help_panel", None) or panel
        if hasattr(command, "commands"):
            yield from _walk(full, its_panel, command)
        elif not command.hidden:
            yield full, its_panel, command


def _command(name: str, command: Any) -> Iterator[str]:
    context = typer.Context(command, info_name=f"rprm-jobs {name}")
    yield "\n\n".join(" ".join(paragraph.split()) for paragraph in command.help.split("\n\n"))
    yield f"\n```text\n{' '.join(command.get_usage(context).removeprefix('Usage: ').split())}\n```"
    for panel, records in command.sections(context).items():
        yield from _table(panel, [record for record in records if "--help" not in record[0]])
    if name.startswith("train "):
        yield from _table("Options of the training program", list(_training_options(name.removeprefix("train "))))
    if command.epilog:
        yield f"\n```bash\n{command.epilog}\n```"


def _training_options(phase: str) -> Iterator[tuple[str, str]]:
    for action in phase_parser(phase)._actions:
        kind = "|".join(action.choices or ()) or getattr(action.type, "__name__", "str").lower()
        value = "" if action.nargs == 0 else f" <{kind}>"
        on_or_off = f"[{'on' if action.default else 'off'}]" if isinstance(action, BooleanOptionalAction) else ""
        yield " / ".join(action.option_strings) + value, action.help or on_or_off


def _table(title: str, records: list[tuple[str, str]]) -> Iterator[str]:
    yield f"\n{title}:\n\n| {'argument' if title == 'Arguments' else 'option'} | what it does |\n|---|---|"
    for option, what in records:
        yield f"| `{_cell(option)}` | {_cell(what)} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _first_sentence(text: str) -> str:
    return " ".join(text.split()).split(". ")[0].rstrip(".")


def _variables() -> str:
    rows = [f"| `{variable.name}` | {_default(variable)} | {variable.what} |" for variable in VARIABLES]
    return "\n".join(["| variable | default | what it is |", "|---|---|---|", *rows])


def _default(variable: Variable) -> str:
    if variable.shown or not variable.field:
        return variable.shown or "none"
    defaults = {field.name: field.default for kind in (Settings, Limits) for field in fields(kind)}
    value = defaults[variable.field]
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def main() -> None:
    """Write every generated page."""
    for name, text in pages().items():
        (HERE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
