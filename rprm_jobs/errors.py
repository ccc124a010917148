"""Every error of the project, in two families that are never mixed.

`RprmError` and its leaves stop a command or a worker; the message says what happened, where, and what to do.
`ItemFailure` and its leaves are facts about one solution: they are recorded as data and the shard goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class RprmError(Exception):
    """Something went wrong."""

    exit_code: int = 1

    def __init__(self, what: str = "", *, where: str = "", hint: str = "") -> None:
        self.what = what or (self.__doc__ or "").strip().splitlines()[0]
        self.where = where
        self.hint = hint
        super().__init__(self.what, where, hint)

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  hint: {self.hint}" if self.hint else head

    def as_dict(self) -> dict[str, Any]:
        """The error as plain JSON types: what --json prints on stderr, and one program tells another."""
        return {
            "kind": type(self).__name__,
            "what": self.what,
            "where": self.where,
            "hint": self.hint,
            "status": self.exit_code,
        }


class ConfigError(RprmError):
    """A setting or an option has a value that cannot be used."""

    exit_code = 2


class MissingExtra(ConfigError):
    """An optional part of the package is not installed."""


@dataclass(frozen=True, slots=True)
class BadLine:
    """One refused line of an input: `file:line: reason`; `line` counts from 1 (a row number in Parquet).

    `row` is what stood there, as far as it could be read: a JSON value, or the text of a line that is none.
    """

    file: str
    line: int
    reason: str
    row: Any = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


class InputError(RprmError):
    """The input was refused and nothing was stored."""

    exit_code = 3

    def __init__(
        self,
        what: str = "",
        *,
        where: str = "",
        hint: str = "",
        bad_lines: tuple[BadLine, ...] = (),
        n_bad: int = 0,
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.bad_lines = bad_lines
        self.n_bad = n_bad or len(bad_lines)

    def as_dict(self) -> dict[str, Any]:
        """As of every error, with the bad rows."""
        rows = [{"file": bad.file, "line": bad.line, "reason": bad.reason} for bad in self.bad_lines]
        return {**super().as_dict(), "bad_rows": rows, "n_bad": self.n_bad}


class NotFound(RprmError):
    """The named job, judge or file does not exist."""

    exit_code = 4


class JudgeError(RprmError):
    """The judge cannot be used as it is."""

    exit_code = 4


class ServiceError(RprmError):
    """A server that the command needs did not answer as it must."""

    exit_code = 5


class StoreError(ServiceError):
    """Postgres refused or dropped the connection, or the statement."""


class StoreUnavailable(StoreError):
    """Postgres cannot be reached; the same call may succeed later."""


class CommitUnknown(StoreUnavailable):
    """The connection broke while a transaction was being committed: it may or may not have happened."""


class RowRefused(StoreError):
    """Postgres cannot hold these values: a fact about the row, which no other moment changes."""


class NotPermitted(StoreError):
    """The database role lacks the privilege."""


class SchemaError(StoreError):
    """The database schema is not the one this version works with."""


class Deleted(StoreError):
    """What was being read was deleted meanwhile."""

    exit_code = 4


class BrokerError(ServiceError):
    """Redis cannot be reached, or refused the message."""


class Conflict(RprmError):
    """The state of the job does not allow what was asked."""

    exit_code = 6


class AuditFailed(RprmError):
    """The audit found work that is missing, doubled or stale."""

    exit_code = 7


class SomeFailed(RprmError):
    """Some solutions of the job failed."""

    exit_code = 9


class NoneSucceeded(RprmError):
    """No solution of the job succeeded."""

    exit_code = 10


class JobCancelled(RprmError):
    """The job was cancelled."""

    exit_code = 11


class NotFinished(RprmError):
    """The job has not finished."""

    exit_code = 12


class LeaseLost(RprmError):
    """Another worker holds the shard, or the job was cancelled: nothing more may be written for this attempt."""


class UnsupportedJob(RprmError):
    """This worker cannot work on the job: its recipe is of another version, or needs a model that is not loaded."""


class EngineError(RprmError):
    """The engine could not be started with these options."""

    exit_code = 8


class EngineDied(EngineError):
    """The engine stopped working while it was judging: the worker must hand back its leases and exit."""


class TrainingFailed(RprmError):
    """The training program failed."""

    def __init__(self, what: str = "", *, where: str = "", hint: str = "", status: int = 1) -> None:
        super().__init__(what, where=where, hint=hint)
        self.exit_code = status


def error_from(said: Mapping[str, Any]) -> RprmError:
    """The error that another program of this project has told by `as_dict`, with its exit status."""
    kind = globals().get(said["kind"])
    leaf = kind if isinstance(kind, type) and issubclass(kind, RprmError) else RprmError
    rows = tuple(BadLine(row["file"], row["line"], row["reason"]) for row in said.get("bad_rows", ()))
    more = {"bad_lines": rows, "n_bad": said["n_bad"]} if issubclass(leaf, InputError) else {}
    error = leaf(said["what"], where=said["where"], hint=said["hint"], **more)
    error.exit_code = said["status"]
    return error


class ItemFailure(Exception):
    """A fact about one solution that keeps it from being judged; `str()` is the stored reason."""


class PromptTooLong(ItemFailure):
    """The prompt of a step leaves no room for a critique."""

    def __init__(self, *, tokens: int, limit: int, room: int = 1) -> None:
        self.tokens = tokens
        self.limit = limit
        super().__init__(f"prompt has {tokens} tokens; with room for {room} more it must fit in the judge's {limit}")


class Refused(ItemFailure):
    """The engine answered that it will not judge this prompt."""


class Unanswered(ItemFailure):
    """The engine answers other prompts, and never this one, however often it is asked."""
