"""Curves and strips of text: what a terminal can show of numbers over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rprm_jobs.cli.shared.tables import has_bars

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_PLAIN = " .:-=+*#@"
_LABEL = 10


def curve(title: str, points: Sequence[tuple[float, float]], *, width: int, height: int = 6) -> Iterator[str]:
    """The points (x ascending, y) as columns, each the mean of the points that fall into it; the first line is a title.

    `width` is that of a line in columns.
    """
    columns = _columns(points, max(width - _LABEL - 2, 8))
    known = [value for value in columns if value is not None]
    low, high = min(known), max(known)
    spread = high - low or 1.0
    yield f"{title}, {points[0][0]:g} to {points[-1][0]:g}"
    for row in reversed(range(height)):
        cells = "".join(_cell(value, low, spread, row, height) for value in columns)
        label = f"{high:.4g}" if row == height - 1 else f"{low:.4g}" if row == 0 else ""
        yield f"{label:>{_LABEL}}  {cells}".rstrip()


def strip(values: Sequence[float]) -> str:
    """One character a value, from nothing to the largest."""
    glyphs, most = _glyphs(), max(values, default=0.0)
    return "".join(glyphs[0 if most <= 0 else min(8, max(0, round(8 * value / most)))] for value in values)


def _columns(points: Sequence[tuple[float, float]], most: int) -> list[float | None]:
    first, last = points[0][0], points[-1][0]
    count = min(most, len(points)) if len(points) > 1 else 1
    cells: list[list[float]] = [[] for _ in range(count)]
    for x, y in points:
        place = 0 if last == first else int((x - first) / (last - first) * (count - 1) + 0.5)
        cells[place].append(y)
    return [sum(cell) / len(cell) if cell else None for cell in cells]


def _cell(value: float | None, low: float, spread: float, row: int, height: int) -> str:
    if value is None:
        return " "
    # The lowest value still shows.
    filled = (value - low) / spread * (height - 0.125) + 0.125 - row
    return _glyphs()[max(0, min(8, round(8 * filled)))]


def _glyphs() -> str:
    return _EIGHTHS if has_bars() else _PLAIN
