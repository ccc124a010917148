"""Problems to be solved: rows of `id` and `problem` (or `question`), with the correct `answer` where it is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rprm_jobs.errors import BadLine
from rprm_jobs.formats.readers.reading import read_raw
from rprm_jobs.formats.readers.rows import BadRow, id_of, kind_of, text_of
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
    """Read everything named, in order; raises like `read_solutions`."""
    for raw in read_raw(paths, limits, split=split):
        if isinstance(raw, BadLine):
            yield raw
            continue
        try:
            yield ProblemRow(raw.file, raw.line, *_checked(raw.value, limits))
        except BadRow as bad:
            yield BadLine(raw.file, raw.line, str(bad))


def _checked(raw: Any, limits: Limits) -> tuple[str, str, dict[str, Any]]:
    if type(raw) is not dict:
        raise BadRow(f"the row is {kind_of(raw)}, not a JSON object")
    rest = dict(raw)
    id_ = id_of(rest.pop("id", None))
    problem = text_of(rest, "problem" if "problem" in rest else "question", missing="problem (or question)")
    if len(problem) > limits.max_text_chars:
        raise BadRow(f"the problem has more than {limits.max_text_chars} characters (RPRM_MAX_TEXT_CHARS)")
    for name in ("answer", "answers"):
        if not _is_answer(rest.get(name)):
            raise BadRow(f"field {name} is {kind_of(rest[name])}, not a text or a list of texts")
    return id_, problem, rest


def _is_answer(value: Any) -> bool:
    if type(value) is list:
        return bool(value) and all(type(item) in (str, int) for item in value)
    return value is None or type(value) in (str, int)
