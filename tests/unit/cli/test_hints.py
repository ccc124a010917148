"""Every hint in the code can be typed: its command parses as it stands, and its options and variables exist."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from rprm_jobs.cli import app
from rprm_jobs.settings import TEST_NAMES, VARIABLES
from tests.support.commands import commands
from training.options import phase_parser

ROOT = Path(__file__).parents[3]
BUILT = typer.main.get_command(app)
# What a hint's own values stand for.
VALUES = {"kind": "pairs", "kind.value": "pairs", "training_set.kind.value": "sft"}
OTHER = "7"
# Variables that hold one.
NAMES = ("hint", "_hint", "direct_hint")
COMMAND = re.compile(r"rprm-jobs ((?:-{0,2}[a-z](?:[^,;()?`]|\.(?=\w))*))")


def text_of(node: ast.expr) -> Iterator[str]:
    """The texts that an expression may give, with 7 or the value above for what is computed."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(
            str(part.value) if isinstance(part, ast.Constant) else VALUES.get(ast.unparse(part.value), OTHER)
            for part in node.values
            if isinstance(part, ast.Constant | ast.FormattedValue)
        )
    elif isinstance(node, ast.IfExp):
        yield from text_of(node.body)
        yield from text_of(node.orelse)
    elif isinstance(node, ast.BinOp):
        for left in text_of(node.left):
            yield from (left + right for right in text_of(node.right))


def hints() -> Iterator[tuple[str, str]]:
    for folder in ("rprm_jobs", "workers", "training"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                passed = isinstance(node, ast.keyword) and node.arg == "hint"
                named = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).lower() in NAMES
                if (passed or named) and isinstance(node, ast.keyword | ast.Assign):
                    place = f"{path.relative_to(ROOT)}:{node.value.lineno}"
                    yield from ((place, text) for text in text_of(node.value))


HINTS = sorted(set(hints()))
TYPED = [(place, line.strip(" .:")) for place, text in HINTS for line in COMMAND.findall(text)]
# What a file or a folder of the user's, or a name of his, is called in hints.
PLACEHOLDERS = {"JUDGE", "OTHER", "FILE", "FOLDER", "NEW", "INPUT", "PATH", "NAME"}


def test_there_are_hints() -> None:
    assert len(HINTS) > 250
    assert len(TYPED) > 40


@pytest.mark.parametrize(("place", "line"), TYPED)
def test_a_hinted_command_can_be_typed(place: str, line: str) -> None:
    words = shlex.split(re.sub(r"[<>] \S+", "", line))
    group: Any = BUILT
    context = typer.Context(group, info_name="rprm-jobs")
    if words[0] == "--debug":
        return
    while hasattr(group, "commands"):
        assert words, f"{place}: {line} is a group of commands"
        name = words.pop(0)
        if name == "--help":
            return
        assert name in group.commands, f"{place}: there is no command {name} in {line!r}"
        group = group.commands[name]
    if words == ["--help"]:
        return
    assert not [word for word in words if word.isupper() and word not in PLACEHOLDERS], f"{place}: {line}"
    # Parsing runs no command.
    group.make_context(line, words, parent=context)


@pytest.mark.parametrize(("place", "text"), HINTS)
def test_a_hint_names_options_and_variables_that_exist(place: str, text: str) -> None:
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))
    assert used <= OPTIONS, place
    variables = set(re.findall(r"RPRM_[A-Z_]+", text))
    assert variables <= {variable.name for variable in VARIABLES} | TEST_NAMES, place


OPTIONS = {
    option
    for command in commands(app).values()
    for parameter in command.params
    for option in (*parameter.opts, *parameter.secondary_opts)
}
OPTIONS |= {
    option for phase in ("sft", "dpo") for action in phase_parser(phase)._actions for option in action.option_strings
}
# Those of the other programs that hints name.
OPTIONS |= {"--help", "--debug", "--force-reinstall", "--local-dir"}
