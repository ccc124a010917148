"""The way in: every input, row by row, as solutions or as refused rows. A bad row never raises; a bad file does.

Four stages, each a generator: raw rows (decoded), groups (one a raw row, of plain rows), and solutions (checked).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from rprm_jobs.errors import BadLine, ConfigError
from rprm_jobs.formats.locations import InputSource, find_sources
from rprm_jobs.formats.readers.bad_row import BadRow, LeftOut
from rprm_jobs.formats.readers.decode import decode_line, refuse_unstorable
from rprm_jobs.formats.readers.ids import Ids
from rprm_jobs.formats.readers.lines import read_lines
from rprm_jobs.formats.readers.mapping import mapped_format
from rprm_jobs.formats.readers.options import ReadOptions
from rprm_jobs.formats.readers.report import ReadReport
from rprm_jobs.formats.readers.row_formats.openai_batch import request_problem
from rprm_jobs.formats.readers.row_formats.protocol import ReadContext, RowFormat
from rprm_jobs.formats.readers.row_formats.recognise import Recogniser
from rprm_jobs.formats.readers.rows import InputRow, check_plain
from rprm_jobs.formats.readers.tabular import as_row, read_dataset, read_parquet
from rprm_jobs.settings import Limits


class RawRow(NamedTuple):
    """One decoded row, of whatever shape, and where it stood: `line` counts from 1 (in tables: the row's number)."""

    file: str
    line: int
    value: Any


class RowGroup(NamedTuple):
    """The plain rows of one raw row, with ids; one that cannot be judged is there as its reason."""

    file: str
    line: int
    rows: list[dict[str, Any] | BadRow]
    row_format: RowFormat
    value: Any


def read_solutions(
    paths: Sequence[str], options: ReadOptions, limits: Limits, report: ReadReport | None = None
) -> Iterator[InputRow | BadLine]:
    """Read everything named, in order; `report` grows with what is recognised and done on the way.

    Raises NotFound or InputError for an input that cannot be read as a whole, ConfigError and MissingExtra for options
    that do not fit it. Whether an id is repeated is not asked here: the store's unique index decides.
    """
    report = report or ReadReport()
    yield from _checked(read_groups(paths, options, limits, report), options, limits, report)


def solutions_of(
    rows: Iterable[RawRow | BadLine], options: ReadOptions, limits: Limits, report: ReadReport
) -> Iterator[InputRow | BadLine]:
    """As `read_solutions`, of rows that are in memory."""
    yield from _checked(_groups(rows, [], options, limits, report, ReadContext()), options, limits, report)


def _checked(
    groups: Iterable[RowGroup | BadLine], options: ReadOptions, limits: Limits, report: ReadReport
) -> Iterator[InputRow | BadLine]:
    for group in groups:
        if isinstance(group, BadLine):
            yield group
            continue
        for row in group.rows:
            try:
                if isinstance(row, BadRow):
                    raise row
                solution = check_plain(row, options, limits, report, empty_steps=group.row_format.empty_steps)
                yield InputRow(group.file, group.line, solution)
            except BadRow as bad:
                yield BadLine(group.file, group.line, str(bad), group.value)


def read_groups(
    paths: Sequence[str], options: ReadOptions, limits: Limits, report: ReadReport, context: ReadContext | None = None
) -> Iterator[RowGroup | BadLine]:
    """The plain rows of every row named, by its format. Raises like `read_solutions`."""
    rows = read_raw(paths, limits, split=options.split)
    yield from _groups(rows, paths, options, limits, report, context or ReadContext())


def _groups(
    rows: Iterable[RawRow | BadLine],
    roots: Sequence[str],
    options: ReadOptions,
    limits: Limits,
    report: ReadReport,
    context: ReadContext,
) -> Iterator[RowGroup | BadLine]:
    report.begin(options)
    context.notes = report.notes
    if options.join is not None:
        context.problems = _joined_problems(options.join, limits, context)
    reader = _GroupReader(options, report, context, Ids(options.ids, list(roots)))
    for raw in rows:
        yield raw if isinstance(raw, BadLine) else reader.read(raw)


class _GroupReader:
    def __init__(self, options: ReadOptions, report: ReadReport, context: ReadContext, ids: Ids) -> None:
        self._options, self._report, self._context, self._ids = options, report, context, ids
        self._mapped = mapped_format(options.fields) if options.fields else None
        self._file: str | None = None
        self._recogniser = Recogniser(options.format)

    def read(self, raw: RawRow) -> RowGroup | BadLine:
        if raw.file != self._file:
            self._file, self._recogniser = raw.file, Recogniser(self._options.format)
        try:
            row_format = self._mapped or self._recogniser.recognise(raw.value)
            return RowGroup(raw.file, raw.line, self._rows(raw, row_format), row_format, raw.value)
        except BadRow as bad:
            return BadLine(raw.file, raw.line, str(bad), raw.value)

    def _rows(self, raw: RawRow, row_format: RowFormat) -> list[dict[str, Any] | BadRow]:
        if type(raw.value) is not dict:
            raise BadRow("the row is not a JSON object")
        self._report.recognised(raw.file, row_format, raw.value)
        try:
            results = list(row_format.convert(raw.value, self._context))
        except LeftOut as reason:
            results = [reason]
        rows: list[dict[str, Any] | BadRow] = []
        for number, row in enumerate(results):
            if row_format.rollouts and type(row) is dict and self._is_empty(row):
                row = LeftOut("rollouts without a text")
            if isinstance(row, LeftOut):
                self._report.left_out[str(row)] += 1
                continue
            if not isinstance(row, BadRow):
                rollout = number if len(results) > 1 else None
                self._ids.give(row, raw.file, raw.line, rollout, repeats=row_format.repeats)
            rows.append(row)
        self._report.made_ids = self._ids.count
        return rows

    def _is_empty(self, row: dict[str, Any]) -> bool:
        """Whether the solution has no text, and no reasoning that is to be judged."""
        solution = row.get("solution")
        if type(solution) is not str or (solution and not solution.isspace()):
            return False
        return self._options.splitting.part not in ("thinking", "all") or not row.get("reasoning")


def _joined_problems(path: str, limits: Limits, context: ReadContext) -> dict[str, str]:
    """The problem of every request of a batch's input file. Raises ConfigError for a file that is none."""
    problems: dict[str, str] = {}
    for raw in read_raw([path], limits):
        try:
            if isinstance(raw, BadLine):
                raise BadRow(raw.reason)
            custom_id, problem = request_problem(raw.value, context)
        except BadRow as bad:
            raise ConfigError(
                f"--join: {bad}", where=f"{path}:{raw.line}", hint="name the file that was sent to the batch"
            ) from bad
        problems[custom_id] = problem
    return problems


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
            yield RawRow(source.name, number, decode_line(line))
        except BadRow as bad:
            yield BadLine(source.name, number, str(bad), None if line is None else line.decode(errors="replace"))


def _read_table(source: InputSource, split: str | None) -> Iterator[RawRow | BadLine]:
    if source.kind == "parquet":
        rows = read_parquet(source.path)
    else:
        rows = read_dataset(source.path, split, saved=source.kind == "saved")
    for number, raw in enumerate(rows, 1):
        try:
            row = as_row(raw)
            refuse_unstorable(row)
            yield RawRow(source.name, number, row)
        except BadRow as bad:
            yield BadLine(source.name, number, str(bad), raw)
