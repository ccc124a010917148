"""Problems to be solved: `problem` (or `question`) with the correct `answer` where it is known, or rows of a format.

Of a format's row its problem is taken and its solution left out; `--map` reads rows of any other shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rprm_jobs.errors import BadLine
from rprm_jobs.formats.readers.bad_row import BadRow, LeftOut, kind_of
from rprm_jobs.formats.readers.ids import Ids
from rprm_jobs.formats.readers.mapping import mapped_problems
from rprm_jobs.formats.readers.options import ReadOptions
from rprm_jobs.formats.readers.reading import RawRow, read_raw
from rprm_jobs.formats.readers.report import ReadReport
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, needs
from rprm_jobs.formats.readers.row_formats.recognise import Recogniser
from rprm_jobs.formats.readers.row_formats.verl import DATASET
from rprm_jobs.formats.readers.rows import id_of, text_of
from rprm_jobs.settings import Limits

# What a row says of a solution that is there already.
_OF_A_SOLUTION = ("steps", "solution", "response", "reasoning", "label", "step_labels")


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """One problem and where it stood. `metadata` is whatever else the row has; `answer` in it is a text or a list."""

    file: str
    line: int
    id: str
    problem: str
    metadata: dict[str, Any]


def read_problem_rows(
    paths: Sequence[str], limits: Limits, options: ReadOptions | None = None, report: ReadReport | None = None
) -> Iterator[ProblemRow | BadLine]:
    """Read everything named, in order; `report` grows with what is recognised. Raises like `read_solutions`.

    A row without an id gets one, by default of file and line.
    """
    options, report = options or ReadOptions(), report or ReadReport()
    report.begin(options)
    reader = _ProblemReader(options, report, Ids(options.ids, list(paths)), limits)
    for raw in read_raw(paths, limits, split=options.split):
        if isinstance(raw, BadLine):
            yield raw
            continue
        try:
            yield reader.read(raw)
        except BadRow as bad:
            yield BadLine(raw.file, raw.line, str(bad), raw.value)
        except LeftOut as reason:
            report.left_out[str(reason)] += 1


class _ProblemReader:
    def __init__(self, options: ReadOptions, report: ReadReport, ids: Ids, limits: Limits) -> None:
        self._report, self._ids, self._limits = report, ids, limits
        self._mapped = mapped_problems(options.fields) if options.fields else None
        self._recogniser = Recogniser(options.format)
        self._named = options.format != "auto"
        self._context = ReadContext(notes=report.notes)

    def read(self, raw: RawRow) -> ProblemRow:
        """Raises BadRow, or LeftOut as the row's format has it."""
        if type(raw.value) is not dict:
            raise BadRow(f"the row is {kind_of(raw.value)}, not a JSON object")
        row_format = self._format(raw.value)
        rest = next(iter(row_format.convert(raw.value, self._context)))
        if isinstance(rest, Exception):
            raise rest
        self._report.recognised(raw.file, row_format, raw.value)
        if row_format is not OWN:
            rest = {name: value for name, value in rest.items() if name not in _OF_A_SOLUTION}
        self._ids.give(rest, raw.file, raw.line, None, repeats=row_format.repeats)
        self._report.made_ids = self._ids.count
        return self._checked(raw, rest)

    def _format(self, row: dict[str, Any]) -> RowFormat:
        if self._mapped is not None:
            return self._mapped
        if not self._named:
            if "problem" in row or "question" in row:
                return OWN
            if DATASET.fits(row):
                return DATASET
        try:
            return self._recogniser.recognise(row)
        except BadRow:
            if self._named:
                raise
            has = ", ".join(sorted(map(ascii, row))[:12]) or "none"
            raise BadRow(
                f"field problem (or question) is missing; its fields are {has}; choose one with --map problem=NAME"
            ) from None

    def _checked(self, raw: RawRow, rest: Plain) -> ProblemRow:
        id_ = id_of(rest.pop("id", None))
        problem = text_of(rest, "problem" if "problem" in rest else "question", missing="problem (or question)")
        if len(problem) > self._limits.max_text_chars:
            raise BadRow(f"the problem has more than {self._limits.max_text_chars} characters (RPRM_MAX_TEXT_CHARS)")
        for name in ("answer", "answers"):
            if not _is_answer(rest.get(name)):
                raise BadRow(f"field {name} is {kind_of(rest[name])}, not a text or a list of texts")
        return ProblemRow(raw.file, raw.line, id_, problem, rest)


def _as_it_is(row: dict[str, Any], _context: ReadContext) -> Iterator[Plain]:
    yield dict(row)


OWN = RowFormat("problems", "this package's own problems", needs("problem|question"), _as_it_is)


def _is_answer(value: Any) -> bool:
    if type(value) is list:
        return bool(value) and all(type(item) in (str, int) for item in value)
    return value is None or type(value) in (str, int)
