"""Locations that fsspec knows (s3://, gs://, hf://datasets/..., https://, memory://, ...), with the libraries' own
credentials. No exception of theirs goes past this module but as ours or as an OSError."""

from __future__ import annotations

import logging
import re
from typing import Any
from urllib.parse import urlsplit

from rprm_jobs.errors import ConfigError, InputError, MissingExtra, NotFound, RprmError

_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_REFUSING = (401, 403)
# Where each library finds its credentials.
_CREDENTIALS = {
    "s3": "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or gcloud auth application-default login",
    "gcs": "GOOGLE_APPLICATION_CREDENTIALS, or gcloud auth application-default login",
    "hf": "HF_TOKEN, or hf auth login",
}


def is_remote(path: str) -> bool:
    """Whether the path is a URL."""
    return _SCHEME.match(path) is not None


def where_of(path: str) -> str:
    """The path as it is shown and stored: of a URL without user, password and query, which may be secrets."""
    if not is_remote(path):
        return path
    parts = urlsplit(path)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def file_system(path: str) -> tuple[Any, str]:
    """`(file system, path in it)`. Raises MissingExtra, ConfigError."""
    try:
        import fsspec
    except ImportError as error:
        raise _missing(path) from error
    # It logs, with tracebacks, every error that it raises.
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)
    try:
        system, inner = fsspec.core.url_to_fs(path)
    except ImportError as error:
        raise _missing(path) from error
    except ValueError as error:
        raise ConfigError(
            f"the location's kind is not known: {error}", where=where_of(path), hint="s3://, gs://, hf:// or https://"
        ) from error
    except Exception as error:
        raise explained(error, path) from error
    return system, str(inner)


def _missing(path: str) -> MissingExtra:
    return MissingExtra(
        "reading and writing remote files needs more libraries",
        where=where_of(path),
        hint="pip install 'rprm-jobs[remote]'",
    )


def explained(error: Exception, path: str) -> RprmError:
    """One of our errors for what a library raised."""
    where = where_of(path)
    text = (str(error) or type(error).__name__).splitlines()[0]
    if isinstance(error, FileNotFoundError):
        private = f"; if it is private: {_CREDENTIALS['hf']}" if urlsplit(path).scheme == "hf" else ""
        return NotFound("there is no such file", where=where, hint=f"check the location's spelling{private}")
    if _is_refusal(error):
        return InputError(f"access is refused: {text}", where=where, hint=credentials_hint(path))
    return InputError(f"cannot be read: {text}", where=where, hint="check the location and the network, then try again")


def _is_refusal(error: Exception) -> bool:
    """Whether it is about who asks: each library says so in its own way."""
    status = getattr(getattr(error, "response", error), "status_code", getattr(error, "code", None))
    text = str(error)
    refuses = isinstance(error, PermissionError) or status in _REFUSING
    return refuses or "redential" in text or text.startswith("Forbidden")


def credentials_hint(path: str) -> str:
    """What to check where a location lets nobody in."""
    names = _CREDENTIALS.get(urlsplit(path).scheme)
    return f"check the location and its credentials{f': {names}' if names else ''}"


def open_remote(path: str) -> Any:
    """The file, open for reading. Raises NotFound, InputError."""
    system, inner = file_system(path)
    try:
        return system.open(inner, "rb")
    except Exception as error:
        raise explained(error, path) from error


def files_below(path: str) -> list[str] | None:
    """The URLs of all files below a remote folder or a pattern, sorted; None where `path` is a file.

    Raises NotFound, InputError.
    """
    system, inner = file_system(path)
    # The listing of a moment ago may lack a file.
    system.invalidate_cache()
    try:
        if "*" in inner:
            names = [name for name in system.glob(inner) if not system.isdir(name)]
        elif urlsplit(path).scheme in ("http", "https") or system.isfile(inner):
            return None
        else:
            names = list(system.find(inner))
    except Exception as error:
        raise explained(error, path) from error
    if not names:
        raise NotFound("there is no such file", where=where_of(path), hint="check the location's spelling")
    return sorted(str(system.unstrip_protocol(name)) for name in names)
