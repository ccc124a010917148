"""Rows of benchmark files and of predictions: read, checked against one another, and refused together by file and line.

Nothing is scored while one row is unclear: an unknown id, a wrong length or two versions of a benchmark would otherwise
pass for a judge's mistakes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from rprm_jobs.errors import BadLine, InputError
from rprm_jobs.formats import RawRow, read_raw
from rprm_jobs.settings import Limits

T = TypeVar("T")
_SHOWN = 1000


class BadRows:
    """Collects rows that cannot be used, counts them, and keeps the first few for the message."""

    def __init__(self) -> None:
        self.count = 0
        self._shown: list[BadLine] = []

    def add(self, bad: BadLine) -> None:
        """One more."""
        self.count += 1
        if self.count <= _SHOWN:
            self._shown.append(bad)

    def check(self, hint: str) -> None:
        """Raises InputError when there was any."""
        if self.count:
            raise InputError(
                f"{self.count:,} row{'' if self.count == 1 else 's'} cannot be used, nothing was scored",
                hint=hint,
                bad_lines=tuple(self._shown),
                n_bad=self.count,
            )


def parse_rows(
    paths: Sequence[str], limits: Limits, parse: Callable[[Mapping[str, Any]], T], bad: BadRows
) -> Iterator[tuple[RawRow, T]]:
    """Every row of the files that `parse` takes; those for which it raises InputError are added to `bad`."""
    for raw in read_raw(paths, limits):
        if isinstance(raw, BadLine):
            bad.add(raw)
            continue
        try:
            if type(raw.value) is not dict:
                raise InputError("the row is not a JSON object")
            yield raw, parse(raw.value)
        except InputError as error:
            bad.add(BadLine(raw.file, raw.line, error.what))


class FirstSeen:
    """Knows where every id stood first, so that a repetition is named, and another version is recognised."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[RawRow, object]] = {}

    def repeats(self, id_: str, row: RawRow, content: object, *, otherwise: str) -> str | None:
        """Why the row is a repetition; None for a new id. `otherwise` says what it is when `content` differs."""
        first, was = self._seen.setdefault(id_, (row, content))
        if first is row:
            return None
        place = f"{first.file}:{first.line}"
        if was == content:
            return f"id {id_!r} is repeated, it stood first at {place}"
        return f"id {id_!r} {otherwise.format(place)}"


def row_id(row: Mapping[str, Any]) -> str:
    """The row's id as text. Raises InputError when there is none."""
    value = row.get("id")
    if type(value) is int or (type(value) is str and value):
        return str(value)
    if "idx" in row:
        raise InputError("the row has idx and no id, so it is of PRMBench: use rprm-jobs eval prmbench")
    raise InputError("the row has no id")
