"""Transcripts in the documents: a `console` block is a shell session that was really run, and tests run it again.

A line that begins with `$ ` is a command; the lines below it are what it printed on either stream, where `...` stands
for any number of lines. Commands of a block share a shell. Numbers, logs and names of processes may differ, words not.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Of the shipped examples; what is printed of all of them differs in numbers alone.
FEW = 6
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_END = "\x1e"
ELLIPSIS = "..."
# Before numbers: what holds letters and digits and differs from one run to the next.
_VOLATILE = [
    (re.compile(r"\S*/worker-\d+\.log"), "<log>"),
    (re.compile(r"worker [\w.-]+:\d+:[0-9a-f]+"), "worker <id>"),
    (re.compile(r"[█░]+"), "<bar>"),
    (re.compile(r"\btook (\d+ (s|min|h)\s?)+"), "took <time>"),
    (re.compile(r"-?\d+(,\d{3})*(\.\d+)?(e-?\d+)?"), "0"),
    (re.compile(r"\b0 (bytes|KB|MB|GB)\b"), "<bytes>"),
    (re.compile(r" {2,}"), "  "),
]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One command with the lines that it printed."""

    command: str
    printed: tuple[str, ...]


def few_examples(folder: Path) -> None:
    """`examples/solutions.jsonl` as the documents name it, with as many rows as a test has time for."""
    rows = (ROOT / "examples" / "solutions.jsonl").read_text().splitlines(keepends=True)
    (folder / "examples").mkdir()
    (folder / "examples" / "solutions.jsonl").write_text("".join(rows[:FEW]))


def read_transcripts(page: str) -> list[list[Exchange]]:
    """Every `console` block of a Markdown page."""
    return [_exchanges(block) for block in _BLOCK.findall(page)]


def _exchanges(block: str) -> list[Exchange]:
    exchanges: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            exchanges.append((line.removeprefix("$ "), []))
        elif not exchanges:
            raise ValueError(f"a console block begins with a command, not with {line!r}")
        elif exchanges[-1][0].endswith("\\"):
            exchanges[-1] = (f"{exchanges[-1][0]}\n{line}", [])
        else:
            exchanges[-1][1].append(line)
    return [Exchange(command, tuple(printed)) for command, printed in exchanges]


def run_transcript(exchanges: list[Exchange], folder: Path, env: Mapping[str, str]) -> list[Exchange]:
    """The same commands with what they print now. Raises AssertionError when one exits with another status than 0."""
    script = "".join(f"{{ {exchange.command}\n}} 2>&1 || exit $?\nprintf '{_END}'\n" for exchange in exchanges)
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=dict(env), capture_output=True, text=True, check=False, timeout=280
    )
    parts = done.stdout.split(_END)
    if done.returncode:
        raise AssertionError(f"exit {done.returncode} of {exchanges[len(parts) - 1].command!r}\n{parts[-1]}")
    printed = [tuple(part.splitlines()) for part in parts]
    return [Exchange(exchange.command, lines) for exchange, lines in zip(exchanges, printed, strict=False)]


def differences(written: list[Exchange], real: list[Exchange]) -> list[str]:
    """Commands whose output in the document is not what they print, each with both."""
    return [
        "\n".join((f"$ {before.command}", "--- in the document", *before.printed, "--- now", *now.printed))
        for before, now in zip(written, real, strict=True)
        if not _matches(before.printed, now.printed)
    ]


def _matches(written: tuple[str, ...], real: tuple[str, ...]) -> bool:
    pattern = "".join(".*" if line == ELLIPSIS else re.escape(f"{_plain(line)}\n") for line in written)
    return re.fullmatch(pattern, "".join(f"{_plain(line)}\n" for line in real), re.DOTALL) is not None


def _plain(line: str) -> str:
    for volatile, name in _VOLATILE:
        line = volatile.sub(name, line)
    return line.rstrip()
