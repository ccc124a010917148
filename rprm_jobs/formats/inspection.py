"""A look at an input before anything is paid for: as what it is read, some rows, how long it is, what is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rprm_jobs.errors import BadLine
from rprm_jobs.formats.readers.options import ReadOptions
from rprm_jobs.formats.readers.reading import read_solutions
from rprm_jobs.formats.readers.report import ReadReport
from rprm_jobs.formats.readers.rows import InputRow
from rprm_jobs.settings import Limits

# English and LaTeX have some 3.5 characters a token.
CHARS_PER_TOKEN = 3.5
# So many refused rows are kept: a page shows each fault once, with the number of rows that have it.
MOST_BAD = 1000


@dataclass(slots=True)
class Histogram:
    """Counts of whole numbers in classes that double: 1, 2, 3-4, 5-8, ...; `smallest` is the first class's end."""

    smallest: int = 1
    classes: Counter[int] = field(default_factory=Counter)
    total: int = 0
    count: int = 0
    most: int = 0

    def add(self, value: int) -> None:
        """One more value, at least 0."""
        end = self.smallest
        while end < value:
            end *= 2
        self.classes[end] += 1
        self.total += value
        self.count += 1
        self.most = max(self.most, value)

    def rows(self) -> list[tuple[int, int, int]]:
        """`(first, last, count)` of every class from the lowest to the highest that has values."""
        if not self.classes:
            return []
        rows, end = [], min(self.classes)
        while end <= max(self.classes):
            first = end // 2 + 1 if end > self.smallest else 0
            rows.append((first, end, self.classes[end]))
            end *= 2
        return rows


@dataclass(slots=True)
class Inspection:
    """What was seen. `sample` are the first solutions, `bad` the first refused rows, `n_bad` all of them.

    `tokens` is estimated from the characters of problem and steps; `complete` tells whether all rows were read.
    """

    report: ReadReport
    solutions: int = 0
    n_bad: int = 0
    complete: bool = True
    steps: Histogram = field(default_factory=Histogram)
    tokens: Histogram = field(default_factory=lambda: Histogram(smallest=64))
    sample: list[InputRow] = field(default_factory=list)
    bad: list[BadLine] = field(default_factory=list)


def inspect_rows(
    paths: Sequence[str], options: ReadOptions, limits: Limits, *, rows: int | None = None, shown: int = 5
) -> Inspection:
    """Read the input to its end, or `rows` solutions and refused rows of it. Raises like `read_solutions`."""
    inspection = Inspection(ReadReport())
    for number, row in enumerate(read_solutions(paths, options, limits, inspection.report)):
        if rows is not None and number == rows:
            inspection.complete = False
            break
        if isinstance(row, BadLine):
            inspection.n_bad += 1
            if len(inspection.bad) < MOST_BAD:
                inspection.bad.append(row)
            continue
        solution = row.solution
        inspection.solutions += 1
        inspection.steps.add(len(solution.steps))
        inspection.tokens.add(round((len(solution.problem) + sum(map(len, solution.steps))) / CHARS_PER_TOKEN))
        if len(inspection.sample) < shown:
            inspection.sample.append(row)
    return inspection
