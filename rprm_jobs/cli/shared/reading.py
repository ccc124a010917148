"""The options that say how an input is read, defined once: `@reading_options` and `@problem_options` give them.

The command takes `reading`, a ReadOptions, in their place; its own help shows them where `reading` stands.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rprm_jobs.cli.shared.options import CUTTING, INPUT, SplitOption

if TYPE_CHECKING:
    from rprm_jobs.formats import ReadOptions


def _option(kind: Any, flag: str, metavar: str, help: str, default: Any = None, panel: str = INPUT) -> Any:
    return Annotated[kind, typer.Option(flag, metavar=metavar, help=help, rich_help_panel=panel)], default


_RULES = "blank-lines [default], lines, step-headers, sentences, markers or regex:PATTERN."
_OPTIONS: dict[str, tuple[Any, Any]] = {
    "format": _option(str, "--format", "NAME", "Whose rows these are: auto, or a format by name.", "auto"),
    "fields": _option(list[str] | None, "--map", "OURS=THEIRS", "For other rows: problem=prompt,solution=output."),
    "ids": _option(str, "--id", "RULE", "line or content: ids for rows without; rollout: numbered ids.", "line"),
    "join": _option(str | None, "--join", "FILE", "The input of the batch whose output is read."),
    "split": (SplitOption, None),
    "split_steps": _option(str | None, "--split-steps", "RULE", _RULES, panel=CUTTING),
    "step_separator": _option(str | None, "--step-separator", "TEXT", "Cut wherever this stands.", panel=CUTTING),
    "part": _option(str | None, "--part", "PART", "Of a <think> trace: response, thinking, all.", panel=CUTTING),
    "min_chars": _option(int, "--min-chars", "N", "Join shorter steps with the next.", 0, panel=CUTTING),
}
_PROBLEM_OPTIONS: dict[str, tuple[Any, Any]] = {
    "format": _OPTIONS["format"],
    "fields": _option(list[str] | None, "--map", "OURS=THEIRS", "For other rows: problem=prompt,answer=target,id=uid."),
    "ids": _OPTIONS["ids"],
    "split": _OPTIONS["split"],
}
# The names of these options, for rules.
READING = tuple(_OPTIONS)


def reading_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of reading solutions in the place of its parameter `reading`."""
    return _with_options(command, _OPTIONS, problems=False)


def problem_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of reading problems in the place of its parameter `reading`."""
    return _with_options(command, _PROBLEM_OPTIONS, problems=True)


def _with_options(
    command: Callable[..., None], options: dict[str, tuple[Any, Any]], *, problems: bool
) -> Callable[..., None]:
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name == "reading":
            parameters += [
                inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
                for option, (annotation, default) in options.items()
            ]
        else:
            annotation = eval(parameter.annotation, getattr(command, "__globals__", {}))
            parameters.append(parameter.replace(annotation=annotation))

    def with_reading(**values: Any) -> None:
        chosen = {name: values.pop(name) for name in options}
        command(**values, reading=_make_options(problems=problems, **chosen))

    with_reading.__name__, with_reading.__doc__ = command.__name__, command.__doc__
    with_reading.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    with_reading.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return with_reading


def _make_options(*, problems: bool, fields: list[str] | None, **chosen: Any) -> ReadOptions:
    from rprm_jobs.formats.readers.choices import make_read_options
    from rprm_jobs.formats.readers.mapping import PROBLEM_TARGETS, TARGETS, parse_map

    mapped = parse_map(fields or (), PROBLEM_TARGETS if problems else TARGETS)
    return make_read_options(problems=problems, fields=mapped, **chosen)
