"""Which format a row is of: the one that is named, or the first that fits; else the nearest, with all that it lacks."""

from __future__ import annotations

from typing import Any

from rprm_jobs.formats.readers.bad_row import BadRow, kind_of
from rprm_jobs.formats.readers.row_formats.protocol import RowFormat
from rprm_jobs.formats.readers.row_formats.table import all_formats, make_format

_SHOWN_FIELDS = 12
_NEAR = 0.5


class Recogniser:
    """Of one file. Rows of a file are mostly of one format, so the last one is tried first."""

    def __init__(self, name: str = "auto") -> None:
        self._named = None if name == "auto" else make_format(name)
        self._last = self._named
        self._formats: list[RowFormat] | None = None

    def recognise(self, row: Any) -> RowFormat:
        """The row's format. Raises BadRow with the nearest one and every field that is missing or of a wrong kind."""
        if type(row) is not dict:
            raise BadRow(f"the row is {kind_of(row)}, not a JSON object")
        if self._last is not None and self._last.fits(row):
            return self._last
        if self._named is not None:
            raise BadRow(f"no row of {self._named.name}: {_lacks(self._named, row)}; see --format auto")
        if self._formats is None:
            self._formats = all_formats()
        self._last = next((row_format for row_format in self._formats if row_format.fits(row)), None)
        if self._last is None:
            raise BadRow(_refusal(self._formats, row))
        return self._last


def _refusal(formats: list[RowFormat], row: dict[str, Any]) -> str:
    nearest = max(formats, key=lambda row_format: _nearness(row_format, row))
    if _nearness(nearest, row)[0] < _NEAR:
        names = ", ".join(sorted(map(ascii, row))[:_SHOWN_FIELDS]) + (", ..." if len(row) > _SHOWN_FIELDS else "")
        has = f"has the fields {names}" if row else "has no field"
        return f"no format fits; the row {has}; choose fields with --map problem=NAME,solution=NAME"
    by = ", ".join(need.field_in(row) for need in nearest.needs if need.problem_in(row) is None)
    matched = f" (by {by})" if by else ""
    return f"no format fits; nearest is {nearest.name}{matched}: {_lacks(nearest, row)}; or choose fields with --map"


def _nearness(row_format: RowFormat, row: dict[str, Any]) -> tuple[float, bool, bool]:
    """The part of its fields that the row has, one of a wrong kind counting half; of equals the plainer is nearer."""
    problems = [need.problem_in(row) for need in row_format.needs]
    score = sum(1.0 if problem is None else 0.5 if problem else 0.0 for problem in problems)
    is_own = row_format.name == "rprm"
    return score / len(problems), row_format.recognise is None or is_own, is_own


def _lacks(row_format: RowFormat, row: dict[str, Any]) -> str:
    problems = [(need, need.problem_in(row)) for need in row_format.needs]
    missing = [need.text for need, problem in problems if problem == ""]
    reasons = [f"missing: {', '.join(missing)}"] if missing else []
    reasons += [problem for _, problem in problems if problem]
    if not reasons:
        others = [name for name in row_format.unless if name in row]
        reasons = [f"it has {', '.join(others)}, as another format" if others else "its values are of another shape"]
    return "; ".join(reasons)
