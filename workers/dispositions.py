"""Whose error it is, and what follows: the one table that every path of a worker asks.

An error belongs to the rollout, to the store or queue, or to the engine or its server. Only what a rollout may have
caused is counted against its shard, and only counted failures end in a split and a quarantine. docs/operations.md
shows this table; a test holds the page against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rprm_jobs.errors import (
    BrokerError,
    EngineError,
    ItemFailure,
    LeaseLost,
    NotFound,
    RowRefused,
    StoreError,
    StoreUnavailable,
    UnsupportedJob,
)


class Owner(StrEnum):
    """Whose fault it is taken to be."""

    ROLLOUT = "the rollout"
    STORE = "the store"
    QUEUE = "the queue"
    ENGINE = "the engine or its server"
    WORKER = "this worker"
    NOBODY = "nobody"


class LeaseEnd(StrEnum):
    """What becomes of the lease."""

    KEPT = "kept"
    LOST = "lost already"
    LAPSES = "lapses if it cannot be renewed"
    HANDED_BACK = "handed back"
    FAILED = "ended as failed"


class WorkerNext(StrEnum):
    """What the worker does next."""

    GOES_ON = "goes on"
    WAITS = "repeats the transaction for ten minutes"
    PAUSES = "claims nothing until the store accepts writes again"
    LEAVES = "leaves the job to other workers, and tries again after ten minutes"
    STOPS = "stops with status 8"


@dataclass(frozen=True, slots=True)
class Disposition:
    """One row of the table. `counted`: whether it adds to the failures of the shard."""

    error: str
    owner: Owner
    lease: LeaseEnd
    counted: bool
    worker: WorkerNext
    job: str


_ITEM = Disposition(
    "a prompt that is too long, refused, or never answered by a server that answers others",
    Owner.ROLLOUT,
    LeaseEnd.KEPT,
    False,
    WorkerNext.GOES_ON,
    "the solution is a failed item with its reason; `retry` draws anew",
)
_LOST = Disposition(
    "the lease has another holder, or the job was cancelled or deleted",
    Owner.NOBODY,
    LeaseEnd.LOST,
    False,
    WorkerNext.GOES_ON,
    "unchanged: nothing more is written for it",
)
_AWAY = Disposition(
    "Postgres cannot be reached, is busy, or the answer to a COMMIT is lost",
    Owner.STORE,
    LeaseEnd.LAPSES,
    False,
    WorkerNext.WAITS,
    "goes on when Postgres answers",
)
_ROW = Disposition(
    "Postgres cannot hold a value (SQLSTATE classes 22, 23 and 54)",
    Owner.ROLLOUT,
    LeaseEnd.FAILED,
    True,
    WorkerNext.GOES_ON,
    "the shard is tried again, split, and the solution alone is quarantined",
)
_REFUSED = Disposition(
    "Postgres refuses a statement: full disk, no memory, missing privileges, read-only, another schema",
    Owner.STORE,
    LeaseEnd.HANDED_BACK,
    False,
    WorkerNext.PAUSES,
    "goes on by itself when the store is put right; `status` and `doctor` say what is refused",
)
_QUEUE = Disposition(
    "Redis cannot be reached, or refuses",
    Owner.QUEUE,
    LeaseEnd.KEPT,
    False,
    WorkerNext.GOES_ON,
    "goes on: idle workers look into Postgres every second",
)
_UNSUPPORTED = Disposition(
    "the job's recipe is of another version, or needs a model that the worker lacks",
    Owner.WORKER,
    LeaseEnd.HANDED_BACK,
    False,
    WorkerNext.LEAVES,
    "waits for a worker that can; `status` and `doctor` say why",
)
_ENGINE = Disposition(
    "the engine died, its server is away, or refuses the key or the account",
    Owner.ENGINE,
    LeaseEnd.HANDED_BACK,
    False,
    WorkerNext.STOPS,
    "goes on with the next worker; from the fourth death on the same solutions without a result, each is counted",
)
_UNKNOWN = Disposition(
    "anything else that is raised while a shard is worked on",
    Owner.ROLLOUT,
    LeaseEnd.FAILED,
    True,
    WorkerNext.GOES_ON,
    "the shard is tried again, split, and the solution alone is quarantined",
)

# In this order: the first type that fits decides, so a leaf stands before its root.
TABLE: tuple[tuple[tuple[type[BaseException], ...], Disposition], ...] = (
    ((ItemFailure,), _ITEM),
    ((LeaseLost, NotFound), _LOST),
    ((StoreUnavailable,), _AWAY),
    ((RowRefused,), _ROW),
    ((StoreError,), _REFUSED),
    ((BrokerError,), _QUEUE),
    ((UnsupportedJob,), _UNSUPPORTED),
    ((EngineError,), _ENGINE),
    ((BaseException,), _UNKNOWN),
)


def disposition_of(error: BaseException) -> Disposition:
    """The row of the table for `error`."""
    return next(disposition for kinds, disposition in TABLE if isinstance(error, kinds))


def is_refusal(error: BaseException) -> bool:
    """Whether the store refuses what it is asked, as opposed to being away for a moment."""
    return disposition_of(error).worker is WorkerNext.PAUSES
