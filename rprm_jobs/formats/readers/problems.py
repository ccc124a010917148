"""Problems to be solved: `problem` (or `question`) with the correct `answer` where it is known, or verl's data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rprm_jobs.errors import BadLine
from rprm_jobs.formats.readers.bad_row import BadRow, kind_of
from rprm_jobs.formats.readers.ids import Ids
from rprm_jobs.formats.readers.options import IdRule
from rprm_jobs.formats.readers.reading import RawRow, read_raw
from rprm_jobs.formats.readers.row_formats.protocol import ReadContext
from rprm_jobs.formats.readers.row_formats.verl import DATASET
from rprm_jobs.formats.readers.rows import id_of, text_of
from rprm_jobs.settings import Limits


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """One problem and where it stood. `metadata` is whatever else the row has; `answer` in it is a text or a list."""

    file: str
    line: int
    id: str
    problem: str
    metadata: dict[str, Any]


def read_problem_rows(
    paths: Sequence[str], limits: Limits, *, split: str | None = None
) -> Iterator[ProblemRow | BadLine]:
    """Read everything named, in order; raises like `read_solutions`. A row without an id gets one of file and line."""
    ids = Ids(IdRule.LINE, list(paths))
    for raw in read_raw(paths, limits, split=split):
        if isinstance(raw, BadLine):
            yield raw
            continue
        try:
            yield _checked(raw, ids, limits)
        except BadRow as bad:
            yield BadLine(raw.file, raw.line, str(bad))


def _checked(raw: RawRow, ids: Ids, limits: Limits) -> ProblemRow:
    if type(raw.value) is not dict:
        raise BadRow(f"the row is {kind_of(raw.value)}, not a JSON object")
    rest = next(iter(DATASET.convert(raw.value, ReadContext()))) if DATASET.fits(raw.value) else dict(raw.value)
    if isinstance(rest, Exception):
        raise rest
    ids.give(rest, raw.file, raw.line, None, repeats=False)
    id_ = id_of(rest.pop("id", None))
    problem = text_of(rest, "problem" if "problem" in rest else "question", missing="problem (or question)")
    if len(problem) > limits.max_text_chars:
        raise BadRow(f"the problem has more than {limits.max_text_chars} characters (RPRM_MAX_TEXT_CHARS)")
    for name in ("answer", "answers"):
        if not _is_answer(rest.get(name)):
            raise BadRow(f"field {name} is {kind_of(rest[name])}, not a text or a list of texts")
    return ProblemRow(raw.file, raw.line, id_, problem, rest)


def _is_answer(value: Any) -> bool:
    if type(value) is list:
        return bool(value) and all(type(item) in (str, int) for item in value)
    return value is None or type(value) in (str, int)
