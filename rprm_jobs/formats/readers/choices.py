"""From what a user chose to the options of a reading, checked: what does not fit together is refused with a hint."""

from __future__ import annotations

from collections.abc import Mapping

from rprm_jobs.errors import ConfigError
from rprm_jobs.formats.readers.mapping import PROBLEM_TARGETS, TARGETS, check_map
from rprm_jobs.formats.readers.options import IdRule, ReadOptions
from rprm_jobs.formats.readers.row_formats.table import make_format
from rprm_jobs.formats.splitters import make_splitting


def make_read_options(
    *,
    format: str = "auto",
    fields: Mapping[str, str] | None = None,
    ids: str = "line",
    join: str | None = None,
    split: str | None = None,
    split_steps: str | None = None,
    step_separator: str | None = None,
    part: str | None = None,
    min_chars: int = 0,
    problems: bool = False,
) -> ReadOptions:
    """The options of reading solutions, or `problems` to be solved. Raises ConfigError."""
    check_map(fields or {}, PROBLEM_TARGETS if problems else TARGETS)
    if fields and format != "auto":
        raise ConfigError("--map and --format both say what the rows are", hint="leave one of them out")
    if format != "auto":
        make_format(format)
    if ids not in set(IdRule):
        raise ConfigError(f"--id {ids} is no rule", hint=f"name one of {', '.join(IdRule)}")
    splitting = make_splitting(split_steps, separator=step_separator, part=part, min_chars=min_chars)
    return ReadOptions(
        split=split, format=format, fields=dict(fields or {}), ids=IdRule(ids), join=join, splitting=splitting
    )
