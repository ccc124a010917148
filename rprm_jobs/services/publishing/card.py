"""A data set's card: the YAML that a hub reads, and what a reader must know of how the rows came about. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rprm_jobs import __version__
from rprm_jobs.words import counted

# In every card that was written here, so that a card of the user's own is known and kept.
MARK = "<!-- written by rprm-jobs -->"
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_LARGER = "1M<n<10M"
_NO_LICENCE = (
    "No licence is stated. The rows hold problems and solutions from the sources above and text that the judge wrote:"
    " their licences and terms apply. State one with `rprm-jobs push ... --license`."
)


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with a text, a table of facts, or both."""

    heading: str
    text: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DatasetCard:
    """`license` is an identifier of the hub's, None where nobody stated one; `tags` help to find the data set."""

    title: str
    summary: str
    tags: Sequence[str]
    license: str | None
    sections: Sequence[Section]

    def markdown(self, rows: Mapping[str, int]) -> str:
        """The card of a data set with so many rows by split, whose files are `data/SPLIT-*.parquet`."""
        licence = f"`{self.license}`, as stated by whoever pushed this." if self.license else _NO_LICENCE
        splits = Section("Splits", facts={split: counted(count, "row") for split, count in rows.items()})
        sections = [splits, *self.sections, Section("Licence", licence)]
        body = "\n\n".join(map(_section, sections))
        origin = f"Made by rprm-jobs {__version__}."
        return f"---\n{self._yaml(rows)}\n---\n{MARK}\n\n# {self.title}\n\n{self.summary} {origin}\n\n{body}\n"

    def _yaml(self, rows: Mapping[str, int]) -> str:
        # JSON is YAML, and leaves nothing to quoting.
        files = [{"split": split, "path": f"data/{split}-*"} for split in rows]
        fields: dict[str, Any] = {
            "pretty_name": self.title,
            "language": ["en"],
            "tags": list(self.tags),
            "task_categories": ["text-generation"],
            "size_categories": [_size(sum(rows.values()))],
            "configs": [{"config_name": "default", "data_files": files}],
        }
        if self.license is not None:
            fields["license"] = self.license
        return "\n".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items())


def _size(rows: int) -> str:
    return next((name for limit, name in _SIZES if rows < limit), _LARGER)


def _section(section: Section) -> str:
    parts = [f"## {section.heading}"]
    if section.text:
        parts.append(section.text)
    if section.facts:
        lines = [f"| {_cell(name)} | {_cell(value)} |" for name, value in section.facts.items()]
        parts.append("\n".join(["| | |", "|---|---|", *lines]))
    return "\n\n".join(parts)


def _cell(value: Any) -> str:
    return " ".join(str(value).replace("|", r"\|").split())
