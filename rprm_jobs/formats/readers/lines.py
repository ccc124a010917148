"""Lines of an input, or the elements of a JSON array, in bounded memory whatever the file holds."""

from __future__ import annotations

import gzip
import lzma
import re
import zlib
from collections.abc import Iterator
from typing import Any

from rprm_jobs.errors import InputError
from rprm_jobs.formats.readers.arrays import read_elements
from rprm_jobs.formats.remote import where_of
from rprm_jobs.formats.streams import open_stream

_BLOCK = 1 << 20
_JSON = re.compile(r"\.json(\.(gz|zst|bz2|xz))?$")
_BOM = b"\xef\xbb\xbf"


def read_lines(path: str, limit: int) -> Iterator[tuple[int, bytes | None]]:
    """`(number from 1, line)` of every line that is not blank; None stands for a line longer than `limit` bytes.

    A `.json` file, or standard input, may be one array, or objects over several lines: then these are numbered.
    Raises InputError when the file cannot be read to its end.
    """
    try:
        with open_stream(path) as stream:
            yield from _rows(stream, limit, path)
    except (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError) as error:
        raise InputError(
            f"the compressed file is damaged or cut off: {error}", where=where_of(path), hint="copy it again"
        ) from error
    except OSError as error:
        reason = error.strerror or (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(
            f"cannot be read: {reason}", where=where_of(path), hint="check the file and its permissions"
        ) from error


def _rows(stream: Any, limit: int, path: str) -> Iterator[tuple[int, bytes | None]]:
    stream = _Begun(stream)
    head = stream.begin()
    if path == "-" or _JSON.search(where_of(path)):
        if head[:1] == b"[":
            return read_elements(stream, limit, where_of(path), array=True)
        if head.partition(b"\n")[0].strip() == b"{":
            return read_elements(stream, limit, where_of(path), array=False)
    return _split(stream, limit)


class _Begun:
    """A stream whose first block has been looked at."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._first: bytes | None = None

    def begin(self) -> bytes:
        """What the stream begins with, from the first byte that is no white space."""
        self._first = bytes(self._stream.read(_BLOCK)).removeprefix(_BOM)
        return self._first.lstrip()

    def read(self, size: int) -> bytes:
        first, self._first = self._first, None
        return first if first is not None and first != b"" else bytes(self._stream.read(size))


def _split(stream: Any, limit: int) -> Iterator[tuple[int, bytes | None]]:
    number = 1
    rest = b""
    skipping = False
    while block := stream.read(_BLOCK):
        if not rest and not skipping and block.isspace():
            # A file of nothing but line ends costs no objects.
            number += block.count(b"\n")
            rest = block[block.rfind(b"\n") + 1 :]
            continue
        *whole, last = block.split(b"\n")
        if whole:
            whole[0] = rest + whole[0]
            for line in whole:
                if skipping or len(line) > limit:
                    yield number, None
                    skipping = False
                elif line and not line.isspace():
                    yield number, line
                number += 1
            rest = last
        else:
            rest += last
        if len(rest) > limit:
            rest, skipping = b"", True
    if skipping or len(rest) > limit:
        yield number, None
    elif rest and not rest.isspace():
        yield number, rest
