"""What a caller hands to `Client.submit`: paths, or rows of any kind of table, as rows that a reader takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from rprm_jobs.errors import BadLine, InputError
from rprm_jobs.formats import BadRow, RawRow
from rprm_jobs.formats.readers.decode import refuse_unstorable
from rprm_jobs.formats.readers.tabular import as_row

# Names the rows of a call in messages: `rows:3: ...`, counted from 1.
ROWS = "rows"


@runtime_checkable
class DataFrameLike(Protocol):
    """What is asked of a pandas DataFrame."""

    def to_dict(self, orient: str) -> Any:
        """Its rows, with orient="records"."""
        ...


@runtime_checkable
class ArrowTable(Protocol):
    """What is asked of a pyarrow Table or RecordBatch."""

    def to_pylist(self) -> list[dict[str, Any]]:
        """Its rows."""
        ...


Solutions = str | Path | Iterable[str | Path] | Iterable[Mapping[str, Any]] | DataFrameLike | ArrowTable


def as_paths(solutions: Solutions) -> tuple[str, ...] | None:
    """The paths where these are paths, else None. Raises InputError for a list that holds paths and rows."""
    if isinstance(solutions, str | Path):
        return (str(solutions),)
    if not isinstance(solutions, list | tuple) or not solutions:
        return None
    kinds = {isinstance(item, str | Path) for item in solutions}
    if kinds == {True, False}:
        raise InputError("the list holds paths and rows", hint="submit files and rows in two calls")
    return tuple(str(item) for item in solutions) if kinds == {True} else None


def as_rows(solutions: Any) -> Iterator[RawRow | BadLine]:
    """Every row as a reader takes it, or the reason why it cannot. Raises InputError for what has no rows."""
    for number, value in enumerate(_records(solutions), 1):
        try:
            if not isinstance(value, Mapping):
                raise BadRow(f"the row is a {type(value).__name__}, not a mapping of fields")
            row = as_row(dict(value))
            refuse_unstorable(row)
            yield RawRow(ROWS, number, row)
        except BadRow as bad:
            yield BadLine(ROWS, number, str(bad))


def _records(solutions: Any) -> Iterable[Any]:
    if isinstance(solutions, Mapping):
        raise InputError("solutions is one row, not an iterable of rows", hint="submit [row]")
    if isinstance(solutions, ArrowTable):
        return solutions.to_pylist()
    if isinstance(solutions, DataFrameLike) and hasattr(solutions, "columns"):
        records: list[dict[str, Any]] = solutions.to_dict("records")
        return records
    if isinstance(solutions, Iterable):
        return solutions
    raise InputError(
        f"solutions is a {type(solutions).__name__}", hint="give a path, rows, a DataFrame, a Dataset or an Arrow table"
    )
