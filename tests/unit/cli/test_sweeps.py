"""What every command says to wrong words, tried on all of them: one line, its hint, the exit status of wrong usage."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, get_args

import pytest
import typer.main

from rprm_jobs import cli
from rprm_jobs.cli import app
from rprm_jobs.cli.shared.command import MAY_BE_EMPTY
from tests.support.commands import commands

BUILT = typer.main.get_command(app)
COMMANDS = commands(app)
# The training program has its own parser; tests/unit/launch/test_training.py is about it.
OWN = {name: command for name, command in COMMANDS.items() if not name.startswith("train ")}
Failing = Callable[..., list[str]]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Failing:
    """Types a command that is wrong usage, and gives the lines of its message."""

    def run(*words: str) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["rprm-jobs", *words])
        # Typer builds all commands for each call, which takes most of its time.
        monkeypatch.setattr(cli, "app", BUILT)
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capsys.readouterr()
        assert (left.value.code, out) == (2, ""), f"{shlex.join(words)}: {left.value.code}\n{out}{err}"
        return err.splitlines()

    return run


def needed(command: Any, but: Any = None) -> list[str]:
    """What the parser wants at least, without one parameter."""
    words: list[str] = []
    for parameter in command.params:
        if parameter.required and parameter is not but:
            value = "1" if kind_of(parameter) is int else "x"
            words += [value] if parameter.param_type_name == "argument" else [spelled(parameter), value]
    return words


def kind_of(parameter: Any) -> Any:
    """The type of one value: `int` of `list[int] | None`."""
    kind = parameter.type_descriptor.annotation
    while arguments := [one for one in get_args(kind) if one is not type(None)]:
        kind = arguments[0]
    return kind


def spelled(parameter: Any) -> str:
    return str(max(parameter.opts, key=len))


@pytest.mark.parametrize("name", OWN)
def test_a_misspelt_option_is_named_with_the_one_that_was_meant(name: str, failing: Failing) -> None:
    options = [spelled(one) for one in OWN[name].params if one.param_type_name == "option" and not one.hidden]
    option = max(options, key=len, default="--help")
    wrong = option[:-2] + option[-1] + option[-2]
    first, hint = failing(*name.split(), *needed(OWN[name]), wrong)
    assert first == f"error: there is no option {wrong}"
    assert hint == f"  hint: did you mean {option}? rprm-jobs {name} --help"


@pytest.mark.parametrize("name", OWN)
def test_what_is_missing_is_named_with_an_example(name: str, failing: Failing) -> None:
    for parameter in OWN[name].params:
        if parameter.required:
            first, hint = failing(*name.split(), *needed(OWN[name], but=parameter))
            named = spelled(parameter) if parameter.param_type_name == "option" else "the argument "
            assert first.startswith(f"error: {named}")
            assert first.endswith(" is missing")
            assert hint.startswith(f"  hint: for example rprm-jobs {name} ")


def wrong_values(parameter: Any) -> Iterator[tuple[str, str]]:
    """(a value that cannot be, what is said of it)."""
    kind, info = kind_of(parameter), parameter.type_descriptor.parameter_info
    if kind is int:
        yield "many", "'many' is not a whole number"
        yield "1.5", "'1.5' is not a whole number"
    if kind is float:
        yield "many", "'many' is not a number"
    if isinstance(kind, type) and issubclass(kind, Enum):
        yield "nonsense", f"'nonsense' is none of {', '.join(kind)}"
    if info.min is not None:
        yield str(info.min - 1), f"is less than {info.min:g}"
    if info.max is not None:
        yield str(info.max + 1), f"is more than {info.max:g}"


@pytest.mark.parametrize("name", OWN)
def test_a_value_that_cannot_be_is_said_to_be_one(name: str, failing: Failing) -> None:
    for parameter in OWN[name].params:
        for value, words in wrong_values(parameter):
            own = [value] if parameter.param_type_name == "argument" else [f"{spelled(parameter)}={value}"]
            first, hint = failing(*name.split(), *needed(OWN[name], but=parameter), *own)
            assert words in first, (first, value)
            assert hint.startswith("  hint: ")


@pytest.mark.parametrize("name", OWN)
def test_an_empty_value_is_refused_where_a_name_is_meant(name: str, failing: Failing) -> None:
    for parameter in OWN[name].params:
        checked = parameter.type_descriptor.parameter_info.callback
        if kind_of(parameter) is str and parameter.name not in MAY_BE_EMPTY and not checked:
            own = [""] if parameter.param_type_name == "argument" else [f"{spelled(parameter)}="]
            first, _ = failing(*name.split(), *needed(OWN[name], but=parameter), *own)
            assert first.endswith(" is empty"), (first, parameter.name)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_an_error_of_the_parser_is_json_when_asked(name: str, failing: Failing) -> None:
    (line,) = failing(
        *name.split(), "--json", *needed(COMMANDS[name]), *(["--processes=0"] if "train" in name else ["--no-such"])
    )
    error = json.loads(line)["error"]
    assert (error["kind"], error["status"]) == ("ConfigError", 2)
    assert error["hint"]


def test_a_group_of_commands_says_what_it_has(failing: Failing) -> None:
    for group in sorted({name.split()[0] for name in COMMANDS if " " in name}):
        listed = failing(group)
        assert listed[0].startswith(f"Usage: rprm-jobs {group} ")
        # No sentence is cut.
        assert not [line for line in listed[1:] if line.endswith("...")], group
        first, hint = failing(group, "nonsense")
        assert first == "error: there is no command 'nonsense'"
        assert hint.endswith(f"rprm-jobs {group} --help")
