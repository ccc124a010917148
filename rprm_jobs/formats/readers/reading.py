"""The way in: every input, row by row, as solutions or as refused rows. A bad row never raises; a bad file does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from rprm_jobs.errors import BadLine, ConfigError
from rprm_jobs.formats.locations import InputSource, find_sources
from rprm_jobs.formats.readers.decode import decode_line, refuse_unstorable
from rprm_jobs.formats.readers.lines import read_lines
from rprm_jobs.formats.readers.rows import BadRow, InputRow, ReadOptions, to_solution
from rprm_jobs.formats.readers.tabular import as_row, read_dataset, read_parquet
from rprm_jobs.settings import Limits


class RawRow(NamedTuple):
    """One decoded row, of whatever shape, and where it stood: `line` counts from 1 (in tables: the row's number)."""

    file: str
    line: int
    value: Any


def read_solutions(paths: Sequence[str], options: ReadOptions, limits: Limits) -> Iterator[InputRow | BadLine]:
    """Read everything named, in order. Raises NotFound or InputError for an input that cannot be read as a whole,
    ConfigError and MissingExtra for options that do not fit it.

    Whether an id is repeated is not asked here: the store's unique index decides.
    """
    for raw in read_raw(paths, limits, split=options.split):
        if isinstance(raw, BadLine):
            yield raw
            continue
        try:
            yield InputRow(raw.file, raw.line, to_solution(raw.value, options, limits))
        except BadRow as bad:
            yield BadLine(raw.file, raw.line, str(bad))


def read_raw(paths: Sequence[str], limits: Limits, *, split: str | None = None) -> Iterator[RawRow | BadLine]:
    """Every row named, in order, decoded and storable but not looked at. Raises like `read_solutions`."""
    sources = list(find_sources(paths))
    if split is not None and all(source.kind in ("lines", "parquet") for source in sources):
        raise ConfigError(f"--split {split} names a part of a data set, and none is given", hint="leave --split out")
    for source in sources:
        if source.kind == "lines":
            yield from _read_lines(source, limits)
        else:
            yield from _read_table(source, split)


def _read_lines(source: InputSource, limits: Limits) -> Iterator[RawRow | BadLine]:
    for number, line in read_lines(source.path, limits.max_line_bytes):
        try:
            if line is None:
                raise BadRow(f"the line has more than {limits.max_line_bytes} bytes (RPRM_MAX_LINE_BYTES)")
            yield RawRow(source.path, number, decode_line(line))
        except BadRow as bad:
            yield BadLine(source.path, number, str(bad))


def _read_table(source: InputSource, split: str | None) -> Iterator[RawRow | BadLine]:
    if source.kind == "parquet":
        rows = read_parquet(source.path)
    else:
        rows = read_dataset(source.path, split, saved=source.kind == "saved")
    for number, raw in enumerate(rows, 1):
        try:
            row = as_row(raw)
            refuse_unstorable(row)
            yield RawRow(source.path, number, row)
        except BadRow as bad:
            yield BadLine(source.path, number, str(bad))
