"""What a reading recognised and did, to be said to the user and stored with the job: nothing is guessed in silence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rprm_jobs.formats.readers.options import IdRule, ReadOptions
from rprm_jobs.formats.readers.row_formats.protocol import RowFormat
from rprm_jobs.words import counted


@dataclass(slots=True)
class FormatRows:
    """The rows of one format in one file: `fields` are those by which the first was recognised."""

    row_format: RowFormat
    fields: tuple[str, ...]
    rows: int = 0


class ReadReport:
    """Grows while rows are read. `files` counts rows by format for each file, `left_out` and `notes` by their text."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, FormatRows]] = {}
        self.left_out: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.texts = 0
        self.uncut = 0
        self.thinking = 0
        self.made_ids = 0
        self._options = ReadOptions()

    def begin(self, options: ReadOptions) -> None:
        """The options that the rows are read with."""
        self._options = options

    def recognised(self, file: str, row_format: RowFormat, row: Mapping[str, Any]) -> None:
        """One more row of this format."""
        formats = self.files.setdefault(file, {})
        if row_format.name not in formats:
            formats[row_format.name] = FormatRows(row_format, row_format.fields_in(row))
        formats[row_format.name].rows += 1

    def cut(self, text: str, steps: int) -> None:
        """One more solution's text, cut into this many steps."""
        self.texts += 1
        self.uncut += steps < 2
        self.thinking += "</think>" in text

    def lines(self) -> Iterator[str]:
        """For the user: the formats, and all that was mapped, numbered, cut, or passed over."""
        formats: dict[str, list[FormatRows]] = {}
        for by_name in self.files.values():
            for name, of_file in by_name.items():
                formats.setdefault(name, []).append(of_file)
        for name, of_files in formats.items():
            first, rows = of_files[0], sum(seen.rows for seen in of_files)
            by = f" by {', '.join(first.fields)}" if first.fields else ""
            where = f" in {counted(len(of_files), 'file')}" if len(of_files) > 1 else ""
            yield f"read as {name} ({first.row_format.about}){by}: {counted(rows, 'row')}{where}"
        if self._options.fields:
            yield f"mapped: {', '.join(f'{ours} from {theirs}' for ours, theirs in self._options.fields.items())}"
        if self.made_ids:
            source = "content" if self._options.ids is IdRule.CONTENT else "file and line"
            yield f"{counted(self.made_ids, 'row')} had no id and got one made of {source}"
        yield from self._cutting()
        for note, count in self.notes.items():
            yield f"{count:,} {note}"
        for reason, count in self.left_out.items():
            yield f"left out: {count:,} {reason}"

    def _cutting(self) -> Iterator[str]:
        if not self.texts:
            return
        splitting = self._options.splitting
        part = f", {splitting.part} only" if splitting.part in ("response", "thinking") else ""
        yield f"{counted(self.texts, 'text')} cut into steps by {shown_splitter(splitting.name)}{part}"
        if self.uncut == self.texts:
            yield f"warning: {shown_splitter(splitting.name)} cut none of them: each is one step; see --split-steps"
        if self.thinking and splitting.part is None:
            yield f"warning: {self.thinking:,} hold a <think> trace, judged as well; --part response leaves it out"

    def to_builtins(self) -> dict[str, Any]:
        """What is stored with the job; empty where nothing was read."""
        options = self._options
        formats = {
            file: {name: {"fields": list(seen.fields), "rows": seen.rows} for name, seen in by_name.items()}
            for file, by_name in self.files.items()
        }
        stored = {
            "formats": formats,
            "splitter": options.splitting.to_builtins() if self.texts else None,
            "map": dict(options.fields),
            "ids": options.ids.value if self.made_ids else None,
            "join": options.join,
            "left_out": dict(self.left_out),
            "notes": dict(self.notes),
        }
        return {name: value for name, value in stored.items() if value}


def shown_splitter(name: str) -> str:
    """A splitter's name for a message: its separator's line ends are shown as escapes."""
    kind, colon, text = name.partition(":")
    return f"{kind} {text!r}" if colon else kind
