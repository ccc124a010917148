"""Writing to a remote location: the object appears when it is whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rprm_jobs.errors import ConfigError, RprmError
from rprm_jobs.formats.remote import credentials_hint, file_system, where_of


@contextmanager
def upload(path: str) -> Iterator[Any]:
    """A binary file whose contents are committed at the end, in parts where they are large; an error discards them.

    Raises ConfigError where the location takes no files or refuses this one.
    """
    system, inner = file_system(path)
    in_parts = _has_transactions(system)
    try:
        file = system.open(inner, "wb", autocommit=False) if in_parts else system.open(inner, "wb")
    except RprmError:
        raise
    except Exception as error:
        raise _refused(path, error) from error
    try:
        yield file
    except BaseException:
        _discard(file)
        raise
    try:
        file.close()
        if in_parts:
            file.commit()
    except Exception as error:
        _discard(file)
        raise _refused(path, error) from error


def _has_transactions(system: Any) -> bool:
    """Whether files can be committed or discarded. A hub's cannot: they are kept here and committed when closed.

    Its library refuses only after it has made the file, which then commits itself, empty, when it is collected.
    """
    try:
        return system.transaction is not None
    except NotImplementedError:
        return False


def _discard(file: Any) -> None:
    """Drop what is uploaded. The file is marked as closed, or it tries to close itself when it is collected."""
    with suppress(Exception):
        file.discard()
    with suppress(Exception):
        file.closed = True
    with suppress(Exception):
        # Where a hub's file keeps what it has not committed.
        Path(file.temp_file.name).unlink()


def _refused(path: str, error: Exception) -> ConfigError:
    text = (str(error) or type(error).__name__).splitlines()[0]
    if isinstance(error, FileNotFoundError):
        text = "there is no such bucket or data set"
    return ConfigError(f"the output cannot be written: {text}", where=where_of(path), hint=credentials_hint(path))
