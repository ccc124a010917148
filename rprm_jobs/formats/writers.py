"""The way out: rows of results into JSON lines (plain, .gz, .zst), Parquet, Arrow, or standard output.

A file appears under its name only when it is whole: it is written beside it, synced, and renamed at the end. At a
remote location it is uploaded in parts, which are put together at the end.
"""

from __future__ import annotations

import gzip
import os
import secrets
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import msgspec

from rprm_jobs.errors import ConfigError
from rprm_jobs.formats.remote import is_remote, where_of
from rprm_jobs.formats.uploads import upload

_BUFFER = 1 << 20
_GROUP_ROWS = 5000
_TEXTS = ("id", "status", "reason", "sampling_policy", "reward_source", "problem")


class Schema(Protocol):
    """The typed columns of Parquet and Arrow. One named `metadata` takes all other fields of a row, as a JSON text."""

    def columns(self) -> Any:
        """The pyarrow.Schema."""
        ...


class ResultSchema:
    """Of result rows: whatever the input's metadata holds, the columns are the same."""

    def columns(self) -> Any:
        """The pyarrow.Schema."""
        import pyarrow as pa

        critique = pa.struct(
            [
                ("k", pa.int32()),
                ("verdict", pa.string()),
                ("p_yes", pa.float64()),
                ("text", pa.string()),
                ("forced", pa.bool_()),
            ]
        )
        return pa.schema(
            [
                *((name, pa.string()) for name in _TEXTS),
                ("rewards", pa.list_(pa.float64())),
                ("first_error", pa.int32()),
                ("forced_verdicts", pa.int32()),
                ("screen", pa.list_(pa.float64())),
                ("critiques_per_step", pa.list_(pa.int32())),
                ("reused", pa.list_(pa.int32())),
                ("calibrated", pa.list_(pa.float64())),
                ("step_offsets", pa.list_(pa.list_(pa.int32()))),
                ("critiques", pa.list_(pa.list_(critique))),
                ("steps", pa.list_(pa.string())),
                ("label", pa.int32()),
                ("step_labels", pa.list_(pa.int8())),
                ("metadata", pa.string()),
            ]
        )


@dataclass(frozen=True, slots=True)
class SetSchema:
    """Of training sets, with TRL's names: preference pairs, or single completions."""

    pairs: bool

    def columns(self) -> Any:
        """The pyarrow.Schema."""
        import pyarrow as pa

        texts = ("prompt", "chosen", "rejected") if self.pairs else ("prompt", "completion")
        kinds = [("id", pa.string()), ("step", pa.int32()), ("correct", pa.bool_())]
        return pa.schema([*kinds, *((name, pa.string()) for name in texts)])


RESULTS = ResultSchema()


class Writer(Protocol):
    """Takes rows one after the other."""

    def write(self, row: dict[str, Any]) -> None:
        """Add one row."""
        ...


@contextmanager
def open_writer(path: str, schema: Schema = RESULTS) -> Iterator[Writer]:
    """A writer for `path`, its format by its name; `-` is standard output. Raises ConfigError."""
    if path == "-":
        yield _Lines(sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    target = Path(where_of(path))
    if not target.name.endswith((".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet", ".arrow")):
        raise ConfigError(
            "the output's kind is not known by its name",
            where=where_of(path),
            hint="end it in .jsonl, .jsonl.gz, .jsonl.zst, .parquet or .arrow",
        )
    if is_remote(path):
        with upload(path) as file, _packed(file, target.name, schema) as writer:
            yield writer
        return
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with _opened(temporary, target.name, schema) as writer:
            yield writer
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        raise ConfigError(
            f"the output cannot be written: {error.strerror or error}",
            where=path,
            hint="choose a writable folder with room",
        ) from error
    finally:
        with suppress(FileNotFoundError, NotADirectoryError):
            temporary.unlink()


@contextmanager
def _opened(temporary: Path, name: str, schema: Schema) -> Iterator[Writer]:
    with temporary.open("xb", buffering=_BUFFER) as file, _packed(file, name, schema) as writer:
        yield writer


@contextmanager
def _packed(file: IO[bytes], name: str, schema: Schema) -> Iterator[Writer]:
    """A writer into an open file, in the form that the name tells."""
    if name.endswith(".gz"):
        with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=6, mtime=0) as packed:
            yield _Lines(packed)
    elif name.endswith(".zst"):
        import zstandard

        with zstandard.ZstdCompressor(level=3).stream_writer(file, closefd=False) as packed:
            yield _Lines(packed)
    elif name.endswith(".parquet"):
        with _Parquet(file, schema) as writer:
            yield writer
    elif name.endswith(".arrow"):
        with _Columns(file, schema) as writer:
            yield writer
    else:
        yield _Lines(file)


class _Lines:
    def __init__(self, stream: IO[bytes] | Any) -> None:
        self._write = stream.write
        self._encode = msgspec.json.Encoder().encode

    def write(self, row: dict[str, Any]) -> None:
        self._write(self._encode(row) + b"\n")


class _Columns:
    """Rows as typed columns, some thousand at a time, into a writer of pyarrow's."""

    def __init__(self, file: IO[bytes], schema: Schema) -> None:
        import pyarrow as pa

        self._schema = schema.columns()
        self._table = pa.Table
        self._writer: Any = self._open(file)
        self._rows: list[dict[str, Any]] = []

    def _open(self, file: IO[bytes]) -> Any:
        """The stream format, as `datasets` keeps its files."""
        import pyarrow as pa

        return pa.ipc.new_stream(file, self._schema)

    def __enter__(self) -> _Columns:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def write(self, row: dict[str, Any]) -> None:
        self._rows.append(as_columns(row, self._schema.names))
        if len(self._rows) >= _GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(self._table.from_pylist(self._rows, schema=self._schema))
            self._rows = []


class _Parquet(_Columns):
    def _open(self, file: IO[bytes]) -> Any:
        import pyarrow.parquet as pq

        return pq.ParquetWriter(file, self._schema, compression="zstd")

    def __exit__(self, kind: object, *rest: object) -> None:
        try:
            super().__exit__(kind, *rest)
        finally:
            # Else it tries again when it is collected, onto a file that is closed by then.
            self._writer.is_open = False


def as_columns(row: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The row by columns: fields without a column of their own are the JSON text `metadata`."""
    typed = {key: value for key, value in row.items() if key in names and key != "metadata"}
    rest = {key: value for key, value in row.items() if key not in typed}
    return {**typed, "metadata": msgspec.json.encode(rest).decode()} if rest else typed


def write_all(path: str, rows: Iterable[dict[str, Any]], schema: Schema = RESULTS) -> int:
    """Write every row to `path`; returns how many there were."""
    count = 0
    with open_writer(path, schema) as writer:
        for row in rows:
            writer.write(row)
            count += 1
    return count
