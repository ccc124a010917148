"""What a command that fails prints: one message in one style, whoever raised the error, or one JSON object.

Errors of the parser, of the operating system and unforeseen ones become errors of `rprm_jobs.errors` here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

import typer

from rprm_jobs.cli.shared.common import say
from rprm_jobs.cli.shared.streams import output_error
from rprm_jobs.errors import BadLine, ConfigError, InputError, RprmError

_GROUPS = 10
# What tells two bad rows apart in the same fault: quoted texts and numbers.
_PARTICULARS = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")


class Unforeseen(RprmError):
    """An error that the program did not foresee."""


def explained(error: Exception) -> RprmError:
    """The error as one of ours, with what to type."""
    if isinstance(error, RprmError):
        return error
    if isinstance(error, typer.Abort):
        return RprmError("the question was not answered with yes: nothing was done")
    if isinstance(error, OSError) and (about_output := output_error(error)) is not None:
        return about_output
    if isinstance(error, UnicodeEncodeError):
        # Not the text itself: it may be a URL with a password.
        return ConfigError("a name or a setting is not in UTF-8", hint="rename the file or folder")
    if type(error).__module__.startswith("typer."):
        return _usage_error(error)
    if isinstance(error, OSError) and error.filename is not None:
        hint = "name a place that can be read and written"
        return ConfigError(f"{(error.strerror or str(error)).lower()}", where=str(error.filename), hint=hint)
    return Unforeseen(f"{type(error).__name__}: {error}", hint="rprm-jobs --debug shows where it happened")


def show_error(error: RprmError, *, as_json: bool = False) -> None:
    """Print what went wrong, where, and the hint; for a refused input also its bad rows, by their faults."""
    if as_json:
        say(json.dumps({"error": error.as_dict()}))
        return
    say(f"error: {error}")
    if isinstance(error, InputError):
        for line in fault_lines(error.bad_lines, error.n_bad):
            say(f"  {line}")


def fault_lines(bad_lines: Sequence[BadLine], n_bad: int) -> Iterator[str]:
    """Each fault once, with the first row that has it, and how many more have."""
    groups: dict[tuple[str, str], list[BadLine]] = {}
    for bad in bad_lines:
        groups.setdefault((bad.file, _PARTICULARS.sub("", bad.reason)), []).append(bad)
    for group in list(groups.values())[:_GROUPS]:
        more = len(group) - 1
        last = f", the last in line {group[-1].line:,}" if more > 1 else f", in line {group[-1].line:,}"
        yield f"{group[0]}{f' (and {more:,} more like it{last})' if more else ''}"
    others = len(groups) - _GROUPS
    if others > 0:
        yield f"... and {others} other {'fault' if others == 1 else 'faults'}"
    if n_bad > len(bad_lines) > 0:
        yield f"... and {n_bad - len(bad_lines):,} more"


# What other tools call these commands.
_OTHER_WORDS = {
    "list": "jobs", "ls": "jobs", "ps": "jobs", "queue": "jobs", "score": "submit", "judge": "submit", "run": "submit",
    "enqueue": "submit", "kill": "cancel", "stop": "cancel", "rm": "delete", "remove": "delete",
    "failures": "results", "errors": "results", "download": "results", "generate": "rollout", "evaluate": "eval",
    "server": "serve", "start": "worker",
}  # fmt: skip


def _usage_error(error: Any) -> ConfigError:
    """An error of the parser. Its classes are not public, so they are told apart by name."""
    context, kind = getattr(error, "ctx", None), type(error).__name__
    command = "rprm-jobs" if context is None else context.command_path
    hint = f"{command} --help"
    if kind == "NoSuchOption":
        near = get_close_matches(error.option_name, error.possibilities or (), 1)
        meant = f"did you mean {near[0]}? " if near else ""
        return ConfigError(f"there is no option {error.option_name}", hint=f"{meant}{hint}")
    if kind == "MissingParameter":
        return ConfigError(f"{_named(error.param)} is missing", hint=_example(context, hint))
    if kind == "BadParameter" and error.param is not None:
        return ConfigError(f"{_named(error.param)}: {_bad_value(error)}", hint=hint)
    message = str(error.format_message()).rstrip(".")
    if unknown := re.match(r"No such command '([^']*)'(?:\. Did you mean (.*)\?)?$", message):
        other = _OTHER_WORDS.get(unknown[1]) if command == "rprm-jobs" else None
        other = other or (unknown[2] or "").replace("'", "")
        meant = f"did you mean {other}? " if other else ""
        return ConfigError(f"there is no command {unknown[1]!r}", hint=f"{meant}{hint}")
    if extra := re.match(r"Got unexpected extra argument\S* \((.*)\)", message):
        return ConfigError(f"too many arguments: {extra[1]}", hint=hint)
    if lacking := re.match(r"Option '(.*)' requires an argument", message):
        return ConfigError(f"{lacking[1]} has no value", hint=hint)
    return ConfigError(message[:1].lower() + message[1:], hint=hint)


def _named(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"the argument {(parameter.metavar or parameter.name).strip('[]{}.')}"
    return str(max(parameter.opts, key=len))


def _example(context: Any, otherwise: str) -> str:
    examples = (getattr(context.command, "epilog", None) or "").splitlines() if context is not None else []
    return f"for example {examples[0]}" if examples else otherwise


_KINDS = {"int_parsing": "a whole number", "float_parsing": "a number", "int_from_float": "a whole number",
          "bool_parsing": "yes or no", "int_parsing_size": "a number that small"}  # fmt: skip
_BOUNDS = {"greater_than_equal": ("ge", "less than"), "less_than_equal": ("le", "more than"),
           "greater_than": ("gt", "not more than"), "less_than": ("lt", "not less than")}  # fmt: skip


def _bad_value(error: Any) -> str:
    """What is wrong with a value, in our words where the validation's kind is known."""
    faults = getattr(error.__cause__, "errors", None)
    (fault, *_) = faults() if faults is not None else [{}]
    kind, value, bounds = fault.get("type"), fault.get("input"), fault.get("ctx") or {}
    if kind in _KINDS:
        return f"{value!r} is not {_KINDS[kind]}"
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"{value} is {words} {bounds[name]:g}"
    choices = getattr(error.param.type_descriptor, "choices", None)
    if choices is not None:
        return f"{value!r} is none of {', '.join(str(getattr(choice, 'value', choice)) for choice in choices)}"
    return str(error.message).rstrip(".")
