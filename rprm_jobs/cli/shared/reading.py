"""The options that say how an input is read, defined once: `@reading_options` gives them to a command.

The command takes `reading`, a ReadOptions, in their place; its own help shows them where `reading` stands.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rprm_jobs.cli.shared.options import CUTTING, INPUT, SplitOption
from rprm_jobs.errors import ConfigError

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
# The names of these options, for rules.
READING = tuple(_OPTIONS)


def reading_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of reading in the place of its parameter `reading`."""
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name == "reading":
            parameters += [
                inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
                for option, (annotation, default) in _OPTIONS.items()
            ]
        else:
            annotation = eval(parameter.annotation, getattr(command, "__globals__", {}))
            parameters.append(parameter.replace(annotation=annotation))

    def with_reading(**values: Any) -> None:
        chosen = {name: values.pop(name) for name in _OPTIONS}
        command(**values, reading=make_options(**chosen))

    with_reading.__name__, with_reading.__doc__ = command.__name__, command.__doc__
    with_reading.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    with_reading.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return with_reading


def make_options(
    *,
    format: str,
    fields: list[str] | None,
    ids: str,
    join: str | None,
    split_steps: str | None,
    step_separator: str | None,
    part: str | None,
    min_chars: int,
    split: str | None,
) -> ReadOptions:
    """The options as one object. Raises ConfigError for what does not fit together."""
    from rprm_jobs.formats import IdRule, ReadOptions
    from rprm_jobs.formats.readers.mapping import parse_map
    from rprm_jobs.formats.readers.row_formats.table import make_format
    from rprm_jobs.formats.splitters import make_splitting

    mapped = parse_map(fields or ())
    if mapped and format != "auto":
        raise ConfigError("--map and --format both say what the rows are", hint="leave one of them out")
    if format != "auto":
        make_format(format)
    if ids not in set(IdRule):
        raise ConfigError(f"--id {ids} is no rule", hint=f"name one of {', '.join(IdRule)}")
    splitting = make_splitting(split_steps, separator=step_separator, part=part, min_chars=min_chars)
    return ReadOptions(split=split, format=format, fields=mapped, ids=IdRule(ids), join=join, splitting=splitting)
