"""Lines of a file or of standard input, plain or compressed, in bounded memory whatever the file holds."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rprm_jobs.errors import InputError

_BLOCK = 1 << 20


def read_lines(path: str, limit: int) -> Iterator[tuple[int, bytes | None]]:
    """`(number from 1, line)` of every line that is not blank; None stands for a line longer than `limit` bytes.

    Raises InputError when the file cannot be read to its end.
    """
    try:
        with _opened(path) as stream:
            yield from _split(stream, limit)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"the compressed file is damaged or cut off: {error}", where=path, hint="copy it again"
        ) from error
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise InputError(f"cannot be read: {reason}", where=path, hint="check the file and its permissions") from error


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    if path == "-":
        if sys.stdin is None:
            raise InputError("standard input is closed", where=path, hint="pipe the rows in, or name a file")
        yield sys.stdin.buffer
    elif path.endswith(".gz"):
        with gzip.open(path, "rb") as stream:
            yield stream
    elif path.endswith(".zst"):
        # Arrow's reader, since it reports a frame that is cut off, which zstandard's takes for the end.
        import pyarrow as pa

        with pa.OSFile(path, "rb") as raw, pa.CompressedInputStream(raw, "zstd") as stream:
            yield stream
    else:
        with Path(path).open("rb", buffering=0) as stream:
            yield stream


def _split(stream: Any, limit: int) -> Iterator[tuple[int, bytes | None]]:
    number = 1
    rest = b""
    skipping = False
    first = True
    while block := stream.read(_BLOCK):
        if first:
            first, block = False, block.removeprefix(b"\xef\xbb\xbf")
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
