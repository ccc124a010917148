"""How an input is to be read: every choice that a user can make about its rows, in one object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from rprm_jobs.formats.splitters import Splitting, make_splitting


class IdRule(StrEnum):
    """Where ids come from: LINE and CONTENT are for rows without one, ROLLOUT numbers the rows of a repeated one."""

    LINE = "line"
    CONTENT = "content"
    ROLLOUT = "rollout"


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """`format` is a row format's name or `auto`; `fields` maps our names to the row's (--map), and replaces it.

    `splitting` cuts a solution's text into steps; `split` names a data set's split; `join` the input of a batch whose
    output is read. `step_separator` is short for a splitting at that text.
    """

    step_separator: str | None = None
    split: str | None = None
    format: str = "auto"
    fields: Mapping[str, str] = field(default_factory=dict)
    ids: IdRule = IdRule.LINE
    join: str | None = None
    splitting: Splitting = field(default_factory=Splitting)

    def __post_init__(self) -> None:
        if self.step_separator is not None:
            object.__setattr__(self, "splitting", make_splitting(separator=self.step_separator))
