"""Writing to a remote location: the object appears when it is whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from rprm_jobs.errors import ConfigError, RprmError
from rprm_jobs.formats.remote import file_system, where_of


@contextmanager
def upload(path: str) -> Iterator[Any]:
    """A binary file whose contents are committed at the end, in parts where they are large; an error discards them.

    Raises ConfigError where the location takes no files or refuses this one.
    """
    system, inner = file_system(path)
    try:
        file = system.open(inner, "wb", autocommit=False)
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
        file.commit()
    except Exception as error:
        _discard(file)
        raise _refused(path, error) from error


def _discard(file: Any) -> None:
    """Drop what is uploaded. The file is marked as closed, or it tries to close itself when it is collected."""
    with suppress(Exception):
        file.discard()
    with suppress(Exception):
        file.closed = True


def _refused(path: str, error: Exception) -> ConfigError:
    text = (str(error) or type(error).__name__).splitlines()[0]
    return ConfigError(
        f"the output cannot be written: {text}",
        where=where_of(path),
        hint="check the location and its credentials, or write to a file and copy it",
    )
