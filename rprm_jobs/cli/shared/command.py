"""How commands are added: their help is grouped and ends with examples, and an option without effect is refused.

`add_command` takes a command's rules; one check, before the command runs, refuses every option that a rule forbids.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from rprm_jobs.errors import ConfigError

# The groups of the list of commands, in the order in which a newcomer needs them.
JOBS, ANSWERS, TRAINING, SERVERS = "Jobs", "Results and evaluation", "Training", "Workers and servers"
_COMMAND_GROUPS = (JOBS, ANSWERS, TRAINING, SERVERS)
_NAME_WIDTH = 16
# Typer puts a default that is said in words into parentheses.
_NAMED_DEFAULT = re.compile(r"default: \((.*?)\)(?=[\];])")


@dataclass(frozen=True, slots=True)
class Rule:
    """`options` (parameter names) have an effect only where `holds` of the values of all parameters.

    `otherwise` says when they have none, as in "--engine has no effect without --wait"; `hint` may hold `{option}`.
    """

    options: tuple[str, ...]
    holds: Callable[[Mapping[str, Any]], bool]
    otherwise: str
    hint: str


def needs(name: str, *options: str) -> Rule:
    """These options have an effect only beside the option `name`."""
    flag = _spelled(name)
    return Rule(options, lambda values: bool(values[name]), f"without {flag}", f"add {flag}, or leave out {{option}}")


def excludes(name: str, *options: str) -> Rule:
    """These options have no effect beside the option `name`."""
    flag = _spelled(name)
    return Rule(options, lambda values: not values[name], f"with {flag}", f"leave out {flag} or {{option}}")


def _spelled(name: str) -> str:
    return "--json" if name == "as_json" else f"--{name.replace('_', '-')}"


class Command(TyperCommand):
    """A command whose help groups its options by panel, and that refuses options without effect."""

    rules: ClassVar[tuple[Rule, ...]] = ()

    def sections(self, ctx: Any) -> dict[str, list[tuple[str, str]]]:
        """(option, help) by heading: arguments, the options without a panel, then each panel in order of appearance."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                default = "Arguments" if parameter.param_type_name == "argument" else "Options"
                title = getattr(parameter, "rich_help_panel", None) or default
                sections.setdefault(title, []).append((record[0], _NAMED_DEFAULT.sub(r"default: \1", record[1])))
        return {title: records for title, records in sections.items() if records}

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write each section under its heading."""
        for title, records in self.sections(ctx).items():
            with formatter.section(title):
                formatter.write_dl(records)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """The examples, each on a line of its own and never wrapped, so that they can be copied."""
        if self.epilog:
            with formatter.section("Examples" if "\n" in self.epilog else "Example"):
                for line in self.epilog.splitlines():
                    formatter.write(f"  {line}\n")

    def invoke(self, ctx: Any) -> Any:
        """Raises ConfigError for an option without effect, an impossible seed, and a name that is not UTF-8."""
        for parameter in self.params:
            _refuse_empty(ctx, parameter)
            _refuse_foreign_bytes(parameter, ctx.params.get(parameter.name))
        _refuse_bad_seed(ctx.params.get("seed"))
        for rule in self.rules:
            if not rule.holds(ctx.params):
                for name in rule.options:
                    self._refuse_given(ctx, name, rule)
        return super().invoke(ctx)

    def _refuse_given(self, ctx: Any, name: str, rule: Rule) -> None:
        source = ctx.get_parameter_source(name)
        if source is None or source.name != "COMMANDLINE":
            return
        parameter = next(parameter for parameter in self.params if parameter.name == name)
        positional = parameter.param_type_name == "argument"
        option = "the file argument" if positional else max(parameter.opts, key=len)
        raise ConfigError(f"{option} has no effect {rule.otherwise}", hint=rule.hint.format(option=option))


# Texts that may be empty.
MAY_BE_EMPTY = ("system_prompt", "answer_pattern", "step_separator")


def _refuse_empty(ctx: Any, parameter: Any) -> None:
    """An empty name is mostly a variable of the shell that is not set; as a path it would be the working folder."""
    value, source = ctx.params.get(parameter.name), ctx.get_parameter_source(parameter.name)
    if source is None or source.name != "COMMANDLINE" or parameter.name in MAY_BE_EMPTY:
        return
    if "" in (value if isinstance(value, list | tuple) else [value]):
        option = "an argument" if parameter.param_type_name == "argument" else max(parameter.opts, key=len)
        raise ConfigError(f"{option} is empty", hint="give it a value, or leave it out")


def _refuse_bad_seed(seed: int | None) -> None:
    """All commands refuse the same seeds, whatever they draw with them."""
    if seed is not None and not 0 <= seed < 2**63:
        from rprm_jobs.judge.recipe import check_seed

        check_seed(seed)


def _refuse_foreign_bytes(parameter: Any, value: Any) -> None:
    """Names are stored, and Postgres stores UTF-8. Only a file to write may have any name."""
    if parameter.name == "output":
        return
    for text in map(str, value if isinstance(value, list | tuple) else [value]):
        if not text.isascii() and any(0xDC80 <= ord(character) <= 0xDCFF for character in text):
            shown = os.fsencode(text).decode(errors="backslashreplace")
            raise ConfigError(
                "the name is not in UTF-8", where=shown, hint="rename it, or make a link with another name"
            )


class Group(TyperGroup):
    """A group of commands, listed under the headings of their panels."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Each panel's commands in the order in which they were added; the last panel is for those without one."""
        sections: dict[str, list[tuple[str, str]]] = {title: [] for title in (*_COMMAND_GROUPS, "Commands")}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                brief = command.get_short_help_str(formatter.width - _NAME_WIDTH)
                sections[getattr(command, "rich_help_panel", None) or "Commands"].append((name, brief))
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def add_command(
    app: typer.Typer,
    function: Callable[..., None],
    *examples: str,
    name: str | None = None,
    group: str | None = None,
    rules: Sequence[Rule] = (),
    settings: dict[str, Any] | None = None,
) -> None:
    """Add `function` as a command, with the examples that end its help."""
    own = type("Command", (Command,), {"rules": tuple(rules)})
    decorate = app.command(
        name, cls=own, epilog="\n".join(examples) or None, rich_help_panel=group, context_settings=settings
    )
    decorate(function)


def new_group(text: str) -> typer.Typer:
    """A Typer application for the commands of one group, such as `rprm-jobs pairs`."""
    return typer.Typer(no_args_is_help=True, help=text, rich_markup_mode=None, cls=Group)
