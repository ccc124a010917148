"""Rows of Parquet files and of Hugging Face data sets, as JSON types, in batches."""

from __future__ import annotations

import base64
import datetime
import decimal
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rprm_jobs.errors import InputError, MissingExtra
from rprm_jobs.formats.readers.bad_row import BadRow
from rprm_jobs.formats.readers.row_formats.protocol import PLAIN
from rprm_jobs.formats.remote import is_remote, where_of
from rprm_jobs.formats.streams import open_file

_BATCH_ROWS = 1000
# Fields whose texts are judged in some format: bytes there must be texts.
_JUDGED = PLAIN | {"prompt", "completion", "completions", "input", "output", "generation", "instruction", "text"}
_BATCH_BYTES = 16 << 20


def read_parquet(path: str) -> Iterator[dict[str, Any] | BadRow]:
    """Every row as a dict, or why it has no form here. Raises InputError when the file is none, or is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with _opened(path) as opened, pq.ParquetFile(opened) as file:
            _refuse_repeated(file.schema_arrow.names, path)
            for batch in file.iter_batches(batch_size=_batch_rows(file.metadata)):
                yield from _python_rows(batch)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"not a readable Parquet file: {reason}", where=where_of(path), hint="write the file again"
        ) from error


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    """A local file by its name, which Arrow reads faster than a file of Python's."""
    if is_remote(path):
        with open_file(path) as file:
            yield file
    else:
        yield path


def _refuse_repeated(names: list[str], path: str) -> None:
    if len(set(names)) != len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise InputError(f"column {repeated!a} stands twice", where=path, hint="rename one of the two")


def _batch_rows(metadata: Any) -> int:
    """Rows that take about as many bytes as a batch may, by the largest rows of any row group."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    largest = max((group.total_byte_size // max(1, group.num_rows) for group in groups), default=0)
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, largest)))


def _python_rows(batch: Any) -> Sequence[dict[str, Any] | BadRow]:
    try:
        return batch.to_pylist()  # type: ignore[no-any-return]
    except (ValueError, OverflowError, LookupError, NotImplementedError):
        # One value without a form in Python fails the whole batch: find out whose it is.
        return [_python_row(batch, index) for index in range(batch.num_rows)]


def _python_row(batch: Any, index: int) -> dict[str, Any] | BadRow:
    row = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            row[name] = column[index].as_py()
        except (ValueError, OverflowError, LookupError, NotImplementedError) as error:
            return BadRow(f"field {name!a} of type {column.type} cannot be read: {_first_line(error)}")
    return row


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def read_dataset(path: str, split: str | None, *, saved: bool) -> Iterator[dict[str, Any]]:
    """Rows of a data set saved with `save_to_disk`, or streamed from a hub. Raises InputError, MissingExtra."""
    try:
        import datasets
    except ImportError as error:
        raise MissingExtra(
            "reading a data set needs the datasets library", where=path, hint="pip install 'rprm-jobs[hub]'"
        ) from error
    try:
        dataset = datasets.load_from_disk(path) if saved else datasets.load_dataset(path, split=split, streaming=True)
        # A format that was saved with the data set (tensors, say) is none of ours.
        rows = _one_split(dataset, split, path, saved=saved).with_format(None)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"the data set cannot be opened: {_first_line(error)}", where=path, hint="check its name and --split"
        ) from error
    try:
        yield from rows
    except Exception as error:
        raise InputError(
            f"the data set broke off: {_first_line(error)}", where=path, hint="try again, or save it to a folder first"
        ) from error


def _one_split(dataset: Any, split: str | None, path: str, *, saved: bool) -> Any:
    if not isinstance(dataset, dict):
        if saved and split is not None and str(dataset.split) != split:
            raise InputError(
                f"the folder holds one split, {dataset.split or 'without a name'}", where=path, hint="leave --split out"
            )
        return dataset
    if split is None and len(dataset) == 1:
        return next(iter(dataset.values()))
    if split not in dataset:
        names = ", ".join(dataset)
        raise InputError(f"the data set has the splits {names}", where=path, hint="choose one with --split")
    return dataset[split]


def as_row(raw: dict[str, Any] | BadRow) -> dict[str, Any]:
    """A row of a table in JSON types. Raises BadRow with the field that has none.

    A column is there in every row of a table, so null stands for a field that is not.
    """
    if isinstance(raw, BadRow):
        raise raw
    row = {}
    for name, value in raw.items():
        if value is not None:
            try:
                row[name] = as_json(value)
            except BadRow as bad:
                raise BadRow(f"field {name!a} {bad}") from None
            if name in _JUDGED and _has_no_text(value):
                raise BadRow(f"field {name!a} holds bytes that are no text in UTF-8")
    return row


def _text_of(value: bytes) -> str | None:
    try:
        return None if b"\0" in value else value.decode()
    except UnicodeDecodeError:
        return None


def _has_no_text(value: Any) -> bool:
    if isinstance(value, list):
        return any(_has_no_text(item) for item in value)
    return isinstance(value, bytes) and bool(value) and _text_of(value) is None


def as_json(value: Any) -> Any:
    """`value` in JSON types: times as ISO text, durations as seconds, decimals as text.

    Bytes are the text that they are in UTF-8 (columns often lack the mark that says so), or base64 of what is none.


    Raises BadRow for NaN, infinities and what has no form in JSON.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise BadRow("holds NaN or an infinity")
        return value
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, bytes):
        return _text_of(value) or base64.b64encode(value).decode()
    raise BadRow(f"holds a value of type {type(value).__name__}, which has no form in JSON")
