"""From what a user names on the command line to single inputs that can be read."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rprm_jobs.errors import InputError, NotFound

LINE_SUFFIXES = (
    ".jsonl",
    ".ndjson",
    ".json",
    ".jsonl.gz",
    ".jsonl.zst",
    ".ndjson.gz",
    ".ndjson.zst",
    ".json.gz",
    ".json.zst",
)
_KNOWN = f"{', '.join(LINE_SUFFIXES[:5])}, .parquet, a folder of these, a saved data set, or - for standard input"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_SAVED_DATASET = ("dataset_info.json", "dataset_dict.json", "state.json")


@dataclass(frozen=True, slots=True)
class InputSource:
    """One input: JSON lines, a Parquet file, a data set saved in a folder, or a data set on a hub."""

    kind: Literal["lines", "parquet", "saved", "hub"]
    path: str


def find_sources(paths: Sequence[str]) -> Iterator[InputSource]:
    """The inputs in the order given, folders expanded in sorted order. Raises NotFound or InputError."""
    if paths.count("-") > 1:
        raise InputError("standard input is named twice", where="-", hint="name it once")
    for path in paths:
        yield from _find(path)


def _find(path: str) -> Iterator[InputSource]:
    if path == "-":
        yield InputSource("lines", path)
        return
    file = Path(path)
    try:
        is_folder, is_there = file.is_dir(), file.exists() or file.is_symlink()
    except OSError as error:
        raise _unreadable(error, path) from error
    # An empty name would be the working folder to Path.
    if path and is_folder:
        yield from _folder(file)
    elif path and is_there:
        yield _file(file)
    elif _HUB_ID.fullmatch(path) and not path.endswith((".parquet", *LINE_SUFFIXES)):
        yield InputSource("hub", path)
    else:
        raise NotFound("there is no such file", where=path, hint=f"name {_KNOWN}")


def _file(file: Path) -> InputSource:
    try:
        mode = file.stat().st_mode
    except OSError as error:
        raise _unreadable(error, str(file)) from error
    if not stat.S_ISREG(mode):
        raise InputError("is no regular file", where=str(file), hint="pipe it in and name - instead")
    kind = _kind(file)
    if kind is None:
        raise InputError("the file's kind is not known by its name", where=str(file), hint=f"name {_KNOWN}")
    return InputSource(kind, str(file))


def _unreadable(error: OSError, path: str) -> InputError:
    return InputError(f"cannot be read: {error.strerror}", where=path, hint="check the path and its permissions")


def _kind(file: Path) -> Literal["lines", "parquet"] | None:
    if file.name.endswith(".parquet"):
        return "parquet"
    return "lines" if file.name.endswith(LINE_SUFFIXES) else None


def _folder(folder: Path) -> Iterator[InputSource]:
    if any((folder / name).is_file() for name in _SAVED_DATASET):
        yield InputSource("saved", str(folder))
        return
    files = sorted(file for file in _walk(folder) if _kind(file) and not file.name.endswith(".refused.jsonl"))
    if not files:
        raise InputError("the folder holds no file that can be read", where=str(folder), hint=f"name {_KNOWN}")
    for file in files:
        yield _file(file)


def _walk(folder: Path) -> Iterator[Path]:
    """All files below, but hidden ones. A link to a folder inside is not followed: its files are met where they are."""

    def unreadable(error: OSError) -> None:
        raise _unreadable(error, str(error.filename)) from error

    top = folder.resolve()
    for at, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for file in (Path(at, name) for name in (*folders, *files)):
            if file.is_symlink() and not _resolved(file).is_relative_to(top):
                raise InputError("the link leads out of the folder", where=str(file), hint="name what it leads to")
        yield from (Path(at, name) for name in files if not name.startswith("."))


def _resolved(file: Path) -> Path:
    try:
        return file.resolve()
    except RuntimeError as error:
        raise InputError("the link leads to itself", where=str(file), hint="remove it") from error
