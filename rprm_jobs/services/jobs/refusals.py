"""The refused rows of one submission: counted, the first few kept for the message, all spooled when skipped."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

import msgspec

from rprm_jobs.errors import BadLine, ConfigError, InputError

# So many are kept: a message shows each fault once, with the number of rows that have it.
SHOWN = 1000
_REPEATED_HINT = "number the rows of an id with --id rollout, or keep the first of each with --skip-bad"


class Refusals:
    """Collects BadLines. With `skip` they go to a file beside each input; without it they refuse the submission.

    Where the input is not this machine's, there is no file (`to_files` False), and the first ones are in `shown`.
    """

    def __init__(self, *, skip: bool, to_files: bool = True) -> None:
        self._skip, self._to_files = skip, to_files
        self._shown: list[BadLine] = []
        self._spool: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as this object
        self.count, self._repeated = 0, 0
        self.files: tuple[str, ...] = ()

    def add(self, bad: BadLine) -> None:
        """One more refused row."""
        self.count += 1
        if self._skip and self._to_files:
            self._spool.write(msgspec.json.encode(bad, enc_hook=str) + b"\n")
        elif self.count <= SHOWN:
            # A message shows no rows, and they may be long.
            self._shown.append(replace(bad, row=None))

    def add_repeated(self, bad: BadLine) -> None:
        """A row whose id another has."""
        self._repeated += 1
        self.add(bad)

    @property
    def shown(self) -> tuple[BadLine, ...]:
        """The first ones that are in no file, without what stood there."""
        return tuple(self._shown)

    @property
    def hopeless(self) -> bool:
        """Whether reading on can change nothing: the submission is refused and the message is full."""
        return not self._skip and self.count >= SHOWN

    def check(self, files: Iterable[str]) -> None:
        """Raises InputError when anything was refused and nothing is to be skipped. `files` orders the message."""
        if self._skip or not self.count:
            return
        order = {name: i for i, name in enumerate(files)}
        shown = sorted(self._shown, key=lambda bad: (order.get(bad.file, len(order)), bad.line))
        more = " or more" if self.hopeless else ""
        raise InputError(
            f"{self.count:,}{more} bad row{'' if self.count == 1 else 's'}, nothing was stored",
            hint=_REPEATED_HINT if self._repeated == self.count else "correct them, or submit the rest with --skip-bad",
            bad_lines=tuple(shown),
            n_bad=self.count,
        )

    def write(self) -> None:
        """Write the skipped rows with their reasons to `INPUT.refused.jsonl` beside each input. Raises ConfigError."""
        written: dict[str, IO[bytes]] = {}
        try:
            for bad in self._spooled():
                path = refused_path(bad.file)
                if path not in written:
                    written[path] = Path(path).open("wb")  # noqa: SIM115 - closed below
                written[path].write(msgspec.json.encode(bad) + b"\n")
        except OSError as error:
            raise ConfigError(
                f"the refused rows cannot be written: {error.strerror}",
                where=str(error.filename),
                hint="nothing was stored; make the folder writable, or run in another: rprm-jobs submit - < INPUT",
            ) from error
        finally:
            for file in written.values():
                file.close()
        self.files = tuple(written)

    def _spooled(self) -> Iterator[BadLine]:
        self._spool.seek(0)
        for line in self._spool:
            yield msgspec.json.decode(line, type=BadLine)

    def close(self) -> None:
        """Remove the spool."""
        self._spool.close()


def refused_path(source: str) -> str:
    """Where the refused rows of this input go; those of standard input, of a hub and of
    a remote location go to the working folder."""
    if source in ("-", "<stdin>"):
        return "stdin.refused.jsonl"
    if not Path(source).exists():
        return f"{source.replace('://', '_').replace('/', '_')}.refused.jsonl"
    return f"{source}.refused.jsonl"
