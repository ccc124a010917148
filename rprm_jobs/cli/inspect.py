"""`inspect`: how an input would be read, before anything is stored or judged."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rprm_jobs.cli.shared.command import JOBS, add_command
from rprm_jobs.cli.shared.common import print_json
from rprm_jobs.cli.shared.failing import fault_lines
from rprm_jobs.cli.shared.options import INPUT, FilesArgument, JsonOption
from rprm_jobs.cli.shared.reading import reading_options
from rprm_jobs.cli.shared.tables import cell_width, terminal_width
from rprm_jobs.errors import InputError
from rprm_jobs.words import counted

if TYPE_CHECKING:
    from rprm_jobs.formats import ReadOptions
    from rprm_jobs.formats.inspection import Histogram, Inspection
    from rprm_jobs.formats.readers.rows import InputRow

_PIPE_WIDTH = 100
_BAR = 32
_SHOWN_STEPS = 8
_STEP_LINES = 3
# Neighbours differ, also for most who see colours differently.
_COLOURS = ("36", "33", "35", "32")
_LABELS = {1: "+", 0: "0", -1: "-"}


@reading_options
def inspect(
    files: FilesArgument,
    rows: Annotated[
        int | None,
        typer.Option("--rows", metavar="N", min=1, help="Look at the first N rows only.", rich_help_panel=INPUT),
    ] = None,
    shown: Annotated[int, typer.Option("--show", metavar="N", min=0, help="Rows to show.")] = 5,
    as_json: JsonOption = False,
    *,
    reading: ReadOptions,
) -> None:
    """Show how an input would be read, before it is submitted.

    Its format, some rows with their steps, lengths, and what is refused. Nothing is stored and nothing is judged.
    """
    from rprm_jobs.formats.inspection import inspect_rows
    from rprm_jobs.settings import load_settings

    inspection = inspect_rows(files, reading, load_settings().limits, rows=rows, shown=shown)
    if as_json:
        print_json(_as_json(inspection))
        _refuse_nothing(inspection)
        return
    width = terminal_width() or _PIPE_WIDTH
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    for line in _page(inspection, width, colour=colour):
        print(line)
    sys.stdout.flush()
    _refuse_nothing(inspection)


def _refuse_nothing(inspection: Inspection) -> None:
    """Raises InputError where no row can be judged."""
    if not inspection.solutions:
        raise InputError(
            "no row can be judged", hint="choose fields with --map, or see docs/formats.md for what is read"
        )


def _as_json(inspection: Inspection) -> dict[str, Any]:
    report = inspection.report
    return {
        "read_as": list(report.lines()),
        "reading": report.to_builtins(),
        "complete": inspection.complete,
        "solutions": inspection.solutions,
        "refused": inspection.n_bad,
        "steps": _histogram_json(inspection.steps),
        "tokens": _histogram_json(inspection.tokens),
        "rows": [{"file": row.file, "line": row.line, **asdict(row.solution)} for row in inspection.sample],
        "refusals": [asdict(bad) for bad in inspection.bad],
    }


def _histogram_json(histogram: Histogram) -> dict[str, Any]:
    classes = [{"from": first, "to": last, "count": count} for first, last, count in histogram.rows()]
    return {"total": histogram.total, "most": histogram.most, "classes": classes}


def _page(inspection: Inspection, width: int, *, colour: bool) -> Iterator[str]:
    yield from inspection.report.lines()
    for row in inspection.sample:
        yield ""
        yield from _row(row, width, colour=colour)
    for title, histogram in (("steps a solution", inspection.steps), ("tokens a solution, about", inspection.tokens)):
        yield from _histogram(title, histogram)
    if inspection.solutions:
        yield ""
    scope = "" if inspection.complete else " among the first rows"
    yield f"{counted(inspection.solutions, 'solution')}{scope}, {counted(inspection.n_bad, 'row')} would be refused"
    yield from (f"  {line}" for line in fault_lines(inspection.bad, inspection.n_bad))


def _row(row: InputRow, width: int, *, colour: bool) -> Iterator[str]:
    solution = row.solution
    label = "" if solution.label is None else f", label {solution.label}"
    yield _painted(
        f"{solution.id}  ({row.file}:{row.line}, {counted(len(solution.steps), 'step')}{label})", "1", colour
    )
    yield from (_painted(line, "2", colour) for line in _wrapped(solution.problem, width, "  ", lines=2))
    labels = solution.step_labels or ()
    for number, step in enumerate(solution.steps[:_SHOWN_STEPS]):
        mark = _LABELS.get(labels[number], " ") if number < len(labels) else " "  # type: ignore[arg-type]
        head = f"  {number:>3} {mark} "
        for line in _wrapped(step, width, head, lines=_STEP_LINES):
            yield _painted(line, _COLOURS[number % len(_COLOURS)], colour)
    if len(solution.steps) > _SHOWN_STEPS:
        yield f"      ... and {counted(len(solution.steps) - _SHOWN_STEPS, 'more step')}"


def _wrapped(text: str, width: int, head: str, *, lines: int) -> Iterator[str]:
    """The text after `head`, its white space as single spaces, in at most `lines` lines of `width` columns."""
    words = text.translate(dict.fromkeys((*range(32), *range(127, 160)), " ")).split()
    line, used = head, 0
    for word in words:
        if cell_width(line) + cell_width(word) + 1 > width - 3 and line.strip() and line != head:
            if used == lines - 1:
                yield f"{line}..."
                return
            yield line
            line, used = " " * len(head), used + 1
        line += word[: width - len(head)] if not line.strip() or line == head else f" {word[: width - len(head)]}"
    yield line


def _histogram(title: str, histogram: Histogram) -> Iterator[str]:
    if not histogram.count:
        return
    mean = histogram.total / histogram.count
    yield ""
    yield f"{title}: {mean:,.1f} on average, {histogram.most:,} at most, {histogram.total:,} in all"
    rows = histogram.rows()
    ranges = [f"{last:,}" if first == last else f"{first:,}-{last:,}" for first, last, _ in rows]
    widest, tallest = max(map(len, ranges)), max(count for _, _, count in rows)
    block = _block()
    for text, (_, _, count) in zip(ranges, rows, strict=True):
        bar = block * max(round(_BAR * count / tallest), 1 if count else 0)
        yield f"  {text:>{widest}}  {bar:<{_BAR}}  {count:,}".rstrip()


def _block() -> str:
    try:
        "\u2588".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return "#"
    return "\u2588"


def _painted(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(
        app,
        inspect,
        "rprm-jobs inspect results.jsonl",
        "rprm-jobs inspect traces.jsonl --split-steps markers --part thinking",
        group=JOBS,
    )
