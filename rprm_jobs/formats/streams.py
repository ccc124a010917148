"""Bytes of an input, wherever it lies and however it is packed: a local file, standard input, or any fsspec location.

The libraries behind fsspec repeat single requests; what is repeated here is the reading of a file that broke off, from
the byte where it did, and nothing else is.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rprm_jobs.errors import InputError
from rprm_jobs.formats.remote import open_remote, where_of

_TRIES = 4
_FIRST_WAIT_S = 0.5


@contextmanager
def open_stream(path: str) -> Iterator[Any]:
    """A binary stream of the unpacked contents; its packing is told by the name. Raises OSError and its kind."""
    if path == "-":
        if sys.stdin is None:
            raise InputError("standard input is closed", where=path, hint="pipe the rows in, or name a file")
        yield sys.stdin.buffer
        return
    with open_file(path) as packed:
        name = where_of(path)
        if name.endswith(".gz"):
            with gzip.GzipFile(fileobj=packed, mode="rb") as stream:
                yield stream
        elif name.endswith(".bz2"):
            with bz2.BZ2File(packed, "rb") as stream:
                yield stream
        elif name.endswith(".xz"):
            with lzma.LZMAFile(packed, "rb") as stream:
                yield stream
        elif name.endswith(".zst"):
            # Arrow's reader, since it reports a frame that is cut off, which zstandard's takes for the end.
            import pyarrow as pa

            with pa.PythonFile(packed, mode="r") as raw, pa.CompressedInputStream(raw, "zstd") as stream:
                yield stream
        else:
            yield packed


@contextmanager
def open_file(path: str) -> Iterator[Any]:
    """The file as it is stored, for reading from its start or, of a Parquet file, from anywhere."""
    if "://" not in path:
        with Path(path).open("rb", buffering=0 if not path.endswith((".bz2", ".xz")) else -1) as file:
            yield file
        return
    with io.BufferedReader(ResumingReader(path), 1 << 20) as file:
        yield file


class ResumingReader(io.RawIOBase):
    """A remote file that is opened again where it broke off."""

    def __init__(self, path: str, wait_s: float = _FIRST_WAIT_S) -> None:
        super().__init__()
        self._path, self._wait_s = path, wait_s
        self._file = open_remote(path)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = int(self._file.seek(offset, whence))
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = self._read(len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _read(self, size: int) -> bytes:
        for attempt in range(_TRIES):
            try:
                return bytes(self._file.read(size))
            except Exception as error:
                if attempt == _TRIES - 1 or isinstance(error, (FileNotFoundError, PermissionError)):
                    raise _as_os_error(error) from error
                time.sleep(self._wait_s * 2**attempt)
                self._reopen()
        raise AssertionError("the loop returns or raises")

    def _reopen(self) -> None:
        try:
            self._file = open_remote(self._path)
            self._file.seek(self._at)
        except Exception as error:
            raise _as_os_error(error) from error

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _as_os_error(error: Exception) -> OSError:
    return error if isinstance(error, OSError) else OSError(f"{type(error).__name__}: {error}")
