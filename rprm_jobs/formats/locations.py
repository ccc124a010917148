"""From what a user names on the command line to single inputs that can be read."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from rprm_jobs.errors import InputError, NotFound
from rprm_jobs.formats.remote import files_below, is_remote, where_of
from rprm_jobs.formats.streams import open_stream

_PACKINGS = ("", ".gz", ".zst", ".bz2", ".xz")
LINE_SUFFIXES = tuple(f"{kind}{packing}" for kind in (".jsonl", ".ndjson", ".json") for packing in _PACKINGS)
_KNOWN = (
    ".jsonl, .ndjson or .json (also .gz, .zst, .bz2, .xz), .parquet, a folder of these, a saved data set, a URL, or -"
)
# Bytes that tell JSON from anything else.
_BEGIN = 4096
_PICKLES = (".pt", ".pth", ".pkl", ".pickle")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
# What `save_to_disk` writes, with a field by which another tool's file of the same name is told apart.
_SAVED_DATASET = {"state.json": "_data_files", "dataset_dict.json": "splits"}


@dataclass(frozen=True, slots=True)
class InputSource:
    """One input: JSON lines, a Parquet file, a data set saved in a folder, or a data set on a hub. `name` is shown."""

    kind: Literal["lines", "parquet", "saved", "hub"]
    path: str

    @property
    def name(self) -> str:
        return where_of(self.path)


def find_sources(paths: Sequence[str]) -> Iterator[InputSource]:
    """The inputs in the order given, folders expanded in sorted order. Raises NotFound or InputError."""
    if paths.count("-") > 1:
        raise InputError("standard input is named twice", where="-", hint="name it once")
    for path in paths:
        yield from _remote(path) if is_remote(path) else _find(path)


def _remote(path: str) -> Iterator[InputSource]:
    files = files_below(path)
    if files is None:
        yield InputSource(_kind(_file_name(path)) or _unknown(where_of(path)), path)
        return
    sources = [InputSource(kind, url) for url in files if (kind := _kind(_file_name(url))) and not _is_refused(url)]
    if not sources:
        raise InputError("the folder holds no file that can be read", where=where_of(path), hint=f"name {_KNOWN}")
    yield from sources


def _file_name(url: str) -> str:
    return PurePosixPath(where_of(url)).name


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
    return InputSource(_kind(file.name) or _packed(file) or _unknown(str(file)), str(file))


def _packed(file: Path) -> Literal["lines"] | None:
    """Whether a file whose name tells only its packing, such as x.gz, holds JSON."""
    if not file.name.endswith(_PACKINGS[1:]):
        return None
    try:
        with open_stream(str(file)) as stream:
            begin = stream.read(_BEGIN).lstrip()
    except Exception as error:
        what = f"is damaged or cut off, or no {file.suffix} file: {error}"
        raise InputError(what, where=str(file), hint=f"name {_KNOWN}") from error
    return "lines" if begin[:1] in (b"{", b"[") else None


def _unknown(where: str) -> Literal["lines"]:
    """Raises InputError: the name tells no kind that is read."""
    if where.endswith(_PICKLES):
        raise InputError(
            "is a pickle, which may run code when it is opened", where=where, hint="write its rows as JSON lines"
        )
    raise InputError("the file's kind is not known by its name", where=where, hint=f"name {_KNOWN}")


def _unreadable(error: OSError, path: str) -> InputError:
    return InputError(f"cannot be read: {error.strerror}", where=path, hint="check the path and its permissions")


def _kind(name: str) -> Literal["lines", "parquet"] | None:
    if name.endswith(".parquet"):
        return "parquet"
    return "lines" if name.endswith(LINE_SUFFIXES) and not name.startswith(".") else None


def _is_refused(name: str) -> bool:
    return name.endswith(".refused.jsonl")


def _folder(folder: Path) -> Iterator[InputSource]:
    markers = {name for name, field in _SAVED_DATASET.items() if _has_field(folder / name, field)}
    if markers:
        yield InputSource("saved", str(folder))
        return
    known = (file for file in _walk(folder) if _kind(file.name) and not _is_refused(file.name))
    files = sorted(file for file in known if file.name != "dataset_info.json")
    if not files:
        raise InputError("the folder holds no file that can be read", where=str(folder), hint=f"name {_KNOWN}")
    for file in files:
        yield _file(file)


def _has_field(file: Path, field: str) -> bool:
    try:
        value = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(value, dict) and field in value


def _walk(folder: Path) -> Iterator[Path]:
    """All files below, but hidden ones. A link to a folder inside is not followed: its files are met where they are."""

    def unreadable(error: OSError) -> None:
        raise _unreadable(error, str(error.filename)) from error

    top = _hub_cache(folder.resolve())
    for at, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for file in (Path(at, name) for name in (*folders, *files)):
            if file.is_symlink() and not _resolved(file).is_relative_to(top):
                raise InputError("the link leads out of the folder", where=str(file), hint="name what it leads to")
        yield from (Path(at, name) for name in files if not name.startswith("."))


def _hub_cache(folder: Path) -> Path:
    """The repository of a hub's cache that the folder lies in, whose files are links to its blobs; else the folder."""
    for parent in folder.parents:
        if (parent / "blobs").is_dir() and folder.is_relative_to(parent / "snapshots"):
            return parent
    return folder


def _resolved(file: Path) -> Path:
    try:
        return file.resolve()
    except RuntimeError as error:
        raise InputError("the link leads to itself", where=str(file), hint="remove it") from error
