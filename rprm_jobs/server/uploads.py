"""Files that clients send in pieces, kept under RPRM_HOME until a job is made of them, or for a day.

The offset says where a piece begins, so one that was cut off is sent again from where it ended.
"""

from __future__ import annotations

import fcntl
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from rprm_jobs.errors import ConfigError, Conflict, InputError, NotFound

_ID = re.compile(r"[0-9a-f]{32}")
# What the name of a file may end in decides how it is read.
_NAME = re.compile(r"[\w. @+-]{1,150}\.(jsonl|json|parquet)(\.gz|\.zst)?")
_KEPT_S = 24 * 3600.0
_MOST_OPEN = 200
CHECKED = "rows.checked.jsonl"


class Upload(msgspec.Struct, frozen=True):
    """A file that is being sent: `size` bytes of it are here. Pieces go to `/v1/uploads/ID?offset=SIZE`."""

    id: str
    name: str
    size: int


class _Meta(msgspec.Struct):
    name: str
    actor: str


class Uploads:
    """The files in `home`/uploads. An upload is seen by whoever began it, and by nobody else."""

    def __init__(self, home: Path, *, most_bytes: int) -> None:
        self._folder, self._most = home / "uploads", most_bytes

    def begin(self, name: str, actor: str) -> Upload:
        """A new upload. Raises InputError for a name that does not say what it is, Conflict for very many."""
        if not _NAME.fullmatch(name):
            raise InputError(
                f"{name!r} does not say what the file is",
                hint="a plain name that ends in .jsonl, .json or .parquet, packed as .gz or .zst or not",
            )
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._forget_old()
        if sum(1 for _ in self._folder.iterdir()) >= _MOST_OPEN:
            raise Conflict(f"{_MOST_OPEN} uploads are open", hint="make jobs of them, or delete them")
        upload_id = secrets.token_hex(16)
        (self._folder / upload_id).mkdir(mode=0o700)
        (self._folder / upload_id / "meta").write_bytes(msgspec.json.encode(_Meta(name, actor)))
        (self._folder / upload_id / name).touch()
        return Upload(upload_id, name, 0)

    def find(self, upload_id: str, actor: str) -> Upload:
        """How far it is. Raises NotFound."""
        path = self.path(upload_id, actor)
        return Upload(upload_id, path.name, path.stat().st_size)

    def path(self, upload_id: str, actor: str) -> Path:
        """The file itself. Raises NotFound."""
        missing = NotFound(f"there is no upload {upload_id!r}", hint="begin one: POST /v1/uploads")
        if not _ID.fullmatch(upload_id):
            raise missing
        try:
            meta = msgspec.json.decode((self._folder / upload_id / "meta").read_bytes(), type=_Meta)
        except (OSError, msgspec.DecodeError):
            raise missing from None
        if meta.actor != actor:
            raise missing
        return self._folder / upload_id / meta.name

    async def append(self, upload_id: str, actor: str, offset: int, pieces: AsyncIterator[bytes]) -> Upload:
        """Add bytes at `offset`, which must be the size. Raises Conflict otherwise, InputError beyond the bound."""
        path = self.path(upload_id, actor)
        with path.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Conflict("another piece of this upload is being sent", hint="send one after the other") from None
            size = file.tell()
            if offset != size:
                raise Conflict(f"the upload has {size} bytes, and the piece begins at {offset}", hint=f"offset={size}")
            async for piece in pieces:
                size += len(piece)
                if size > self._most:
                    raise InputError(f"the file has more than {self._most:,} bytes", hint="see --max-upload")
                try:
                    file.write(piece)
                except OSError as error:
                    raise ConfigError(f"the file cannot be kept: {error.strerror}", where="uploads") from error
        return self.find(upload_id, actor)

    def forget(self, upload_id: str, actor: str) -> None:
        """Remove it. Raises NotFound."""
        shutil.rmtree(self.path(upload_id, actor).parent, ignore_errors=True)

    def _forget_old(self) -> None:
        for folder in self._folder.iterdir():
            newest = max((path.stat().st_mtime for path in folder.glob("*")), default=0.0)
            if time.time() - newest > _KEPT_S:
                shutil.rmtree(folder, ignore_errors=True)
