"""Tables on stdout that lose and wrap nothing: what does not fit beside the rest stands in lines of its own.

In a terminal, a table that is too wide moves its long texts below each row, then breaks into several blocks of columns.
In a pipe every row is one line. Cells are text as it is: square brackets are no markup.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from unicodedata import combining, east_asian_width

_GAP = "  "
_INDENT = "    "
# Control characters would move the cursor, and a tab has no width of its own.
_PRINTABLE = dict.fromkeys((*range(32), *range(127, 160)), " ")
_EIGHTHS = "▁▂▃▄▅▆▇█"


@dataclass
class Table:
    """Rows of texts under `names`. Numbers are aligned to the right, the first column and `left` to the left.

    `below` names columns of long texts: they leave the row first when the terminal is too narrow.
    """

    names: Sequence[str]
    left: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def add_row(self, *cells: str) -> None:
        """Add a row of as many cells as there are names."""
        self.rows.append(tuple(cell.translate(_PRINTABLE) for cell in cells))

    def lines(self, width: int | None) -> Iterator[str]:
        """The table in lines of at most `width` columns where the texts allow it; None: no limit."""
        everything = list(range(len(self.names)))
        if width is None or self._width(everything) <= width:
            yield from self._block(everything, [], width)
            return
        below = [place for place in everything if self.names[place] in self.below]
        beside = [place for place in everything if place not in below]
        blocks = self._blocks(beside, width)
        for number, block in enumerate(blocks):
            if number:
                yield ""
            yield from self._block(block, below if number == len(blocks) - 1 else [], width)

    def _blocks(self, places: list[int], width: int) -> list[list[int]]:
        """The columns in blocks that fit, each with the first column."""
        first, *others = places
        blocks = [[first]]
        for place in others:
            if len(blocks[-1]) > 1 and self._width([*blocks[-1], place]) > width:
                blocks.append([first])
            blocks[-1].append(place)
        return blocks

    def _block(self, places: list[int], below: list[int], width: int | None) -> Iterator[str]:
        yield self._line(self.names, places)
        for row in self.rows:
            yield self._line(row, places)
            texts = [f"{self.names[place]} {row[place]}" for place in below if row[place]]
            yield from folded(", ".join(texts), width)

    def _line(self, cells: Sequence[str], places: list[int]) -> str:
        return _GAP.join(self._padded(cells[place], place) for place in places).rstrip()

    def _padded(self, cell: str, place: int) -> str:
        padding = " " * (self._column_width(place) - cell_width(cell))
        text = place == 0 or self.names[place] in (*self.left, *self.below)
        return cell + padding if text else padding + cell

    def _column_width(self, place: int) -> int:
        return max(cell_width(cells[place]) for cells in (self.names, *self.rows))

    def _width(self, places: list[int]) -> int:
        return sum(map(self._column_width, places)) + len(_GAP) * (len(places) - 1)


def print_table(table: Table) -> None:
    """Print a table on stdout, for the width of its terminal; in a pipe every row is one line."""
    for line in table.lines(terminal_width()):
        print(line)


def terminal_width() -> int | None:
    """The columns of stdout's terminal; None for a pipe or a file."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def cell_width(text: str) -> int:
    """How many columns of a terminal `text` takes."""
    return sum(0 if combining(character) else 2 if east_asian_width(character) in "WF" else 1 for character in text)


def folded(text: str, width: int | None) -> Iterator[str]:
    """`text` in indented lines of at most `width` columns, broken at spaces and slashes where that is possible."""
    rest = text
    while rest:
        room = len(rest) if width is None else _prefix(rest, max(width - len(_INDENT), 8))
        if room < len(rest):
            space = rest.rfind(" ", 1, room + 1)
            room = space if space > 0 else max(rest.rfind("/", 1, room) + 1, 0) or room
        yield _INDENT + rest[:room]
        rest = rest[room:].lstrip(" ")


def _prefix(text: str, width: int) -> int:
    """How many characters of `text` fit into `width` columns."""
    used = 0
    for count, character in enumerate(text):
        used += cell_width(character)
        if used > width:
            return max(count, 1)
    return len(text)


def cut_list(items: Sequence[object], most: int) -> str:
    """The first `most` items and how many more there are: `1, 2, 3 and 40 more`."""
    shown = ", ".join(map(str, items[:most]))
    return shown if len(items) <= most else f"{shown} and {len(items) - most:,} more"


def reward_glyph(reward: float | None) -> str:
    """One character for a reward in [0, 1]: a bar of eighths or, where the output has no such character, a digit."""
    if reward is None:
        return "-"
    level = min(max(reward, 0.0), 1.0)
    return _EIGHTHS[round(level * 7)] if has_bars() else str(min(int(level * 10), 9))


def has_bars() -> bool:
    """Whether standard output can carry bars of eighths."""
    # A live display stands before the stream, and has no encoding of its own.
    stream = getattr(sys.stdout, "rich_proxied_file", sys.stdout)
    try:
        _EIGHTHS.encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
