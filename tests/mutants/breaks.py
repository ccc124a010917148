"""The committed list of breaks: which text of which file is replaced by what, and which tests must fall then.

Each `.toml` file beside this one holds the breaks of one room. A break is a fault that somebody could really make; a
break that no test notices is a hole in the tests.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@dataclass(frozen=True, slots=True)
class Break:
    """`old` stands exactly once in `file` (a path from the root), and is replaced by `new`; `tests` must fall."""

    room: str
    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def read_breaks() -> list[Break]:
    """All breaks, by room. Raises KeyError or TypeError for one that is not complete."""
    return [_break(path.stem, entry) for path in sorted(HERE.glob("*.toml")) for entry in _entries(path)]


def _entries(path: Path) -> list[dict[str, str]]:
    entries: list[dict[str, str]] = tomllib.loads(path.read_text(encoding="utf-8"))["break"]
    return entries


def _break(room: str, entry: dict[str, str]) -> Break:
    return Break(room, **{**entry, "tests": tuple(entry["tests"])})  # type: ignore[arg-type]


def times_found(broken: Break, root: Path = ROOT) -> int:
    """How often the break's old text stands in its file; 0 when there is no such file."""
    path = root / broken.file
    return path.read_text(encoding="utf-8").count(broken.old) if path.is_file() else 0


def apply(broken: Break, root: Path) -> None:
    """Break the copy at `root`."""
    path = root / broken.file
    path.write_text(path.read_text(encoding="utf-8").replace(broken.old, broken.new), encoding="utf-8")
