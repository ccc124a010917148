"""Frozen objects that come out of the store. Times are timezone-aware (UTC)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.types import Critique, JobKind, KeepCritiques

# Ids are BIGINT.
MAX_ID = 2**63 - 1


class JobState(StrEnum):
    """Derived from the job's shards; only `cancelled` is stored."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


class Counts(msgspec.Struct, frozen=True):
    """Solutions by outcome, and the judged steps, critiques and generated tokens behind them."""

    ok: int
    failed: int
    quarantined: int
    steps: int
    critiques: int
    tokens: int


class Extension(msgspec.Struct, frozen=True):
    """The last extension of a job (column `jobs.extension`), and what the job `had` when it began.

    `generation` numbers it; outcomes of a lower one were recorded before. `most_k` is the largest K that the job ever
    had. `running` is cleared when the extension is cancelled, or when a later change of the job finds it finished.
    """

    generation: int
    previous_k: int
    most_k: int
    running: bool
    begun_at: datetime
    had: Counts


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it was submitted. `n_steps` counts the steps to be judged; `extension` is None before the first.

    `reading` is how its sources were read: formats, splitter, mapping (rprm_jobs.formats.readers.report). `model_paths`
    are the folders of its models where it was submitted, by "judge" and "policy". With `reuse`
    it takes judgements that the store has.
    """

    id: int
    kind: JobKind
    recipe: Recipe
    queue: str
    judge: str
    priority: int
    n_solutions: int
    n_steps: int
    keep_critiques: KeepCritiques
    sources: tuple[str, ...]
    reading: Mapping[str, Any]
    grouped_by_problem: bool
    created_at: datetime
    cancelled_at: datetime | None
    extension: Extension | None = None
    name: str | None = None
    model_paths: Mapping[str, str] = field(default_factory=dict)
    reuse: bool = True

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Job:
        """From a row of `jobs`. Raises ConfigError for a recipe that this version cannot read."""
        sources = row["sources"]
        return cls(
            id=row["id"],
            kind=JobKind(row["kind"]),
            recipe=Recipe.from_builtins(row["recipe"]),
            queue=row["queue"],
            judge=row["judge"],
            priority=row["priority"],
            n_solutions=row["n_solutions"],
            n_steps=row["n_steps"],
            keep_critiques=KeepCritiques(row["keep_critiques"]),
            # A job of an earlier version has the names alone.
            sources=tuple(sources["files"] if isinstance(sources, dict) else sources),
            reading=sources["reading"] if isinstance(sources, dict) else {},
            grouped_by_problem=row["gathered"],
            created_at=row["created_at"],
            cancelled_at=row["cancelled_at"],
            extension=None if row["extension"] is None else msgspec.convert(row["extension"], Extension),
            name=row.get("name"),
            model_paths=row.get("model_paths") or {},
            reuse=row["reuse"],
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """Sums over a job's shards. Counts of solutions, steps, critiques and generated tokens already recorded.

    Of the critiques `critiques_reused` were there before, which saved `tokens_reused`; `tokens` are without those.

    While an extension runs, solutions, steps and `started_at` are its own. `waiting` shards are neither queued nor
    done: the command that extends the job, or cancels its extension, has not come to them, and may have been killed.
    """

    shards: int
    waiting: int
    ready: int
    leased: int
    finished: int
    ok: int
    failed: int
    quarantined: int
    steps: int
    critiques: int
    tokens: int
    started_at: datetime | None
    finished_at: datetime | None
    now: datetime
    last_error: str | None
    critiques_reused: int = 0
    tokens_reused: int = 0

    @property
    def solutions(self) -> int:
        """Solutions with an outcome."""
        return self.ok + self.failed + self.quarantined

    def state(self, job: Job) -> JobState:
        """The job's state, derived from its shards."""
        if job.cancelled_at is not None:
            return JobState.CANCELLED
        if self.finished == self.shards:
            return JobState.DONE
        return JobState.RUNNING if self.started_at is not None else JobState.QUEUED

    def extension(self, job: Job) -> Extension | None:
        """The job's extension if it is running."""
        running = job.extension is not None and job.extension.running and self.finished < self.shards
        return job.extension if running else None

    def outcomes(self, job: Job) -> Progress:
        """The progress of the job itself: while an extension runs, what the job had before it, which still stands."""
        extension = self.extension(job)
        if extension is None:
            return self
        had = extension.had
        return replace(self, ok=had.ok, failed=had.failed, quarantined=had.quarantined, steps=had.steps)


@dataclass(frozen=True, slots=True)
class Lease:
    """One attempt at one shard: the right to write results for ord in [first_ord, last_ord] until it lapses.

    `retry_epoch` counts the user's `retry` calls and `k_generation` the `extend` calls (columns `round`, `extension`).
    """

    shard_id: int
    job_id: int
    attempt: int
    owner: str
    first_ord: int
    last_ord: int
    retry_epoch: int
    failures: int = 0
    k_generation: int = 0

    @property
    def previously_failed(self) -> bool:
        """Whether an attempt at it failed before, so that its solutions may be what crashes workers."""
        return self.failures > 0

    def log_context(self) -> dict[str, object]:
        """What a log line about this attempt must name."""
        return {"job": self.job_id, "shard": self.shard_id, "attempt": self.attempt}


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """One attempt at a shard that failed, and what became of the shard: an outcome of `Settlement`.

    `first_ord` and `last_ord` bound the solutions that it held, numbered from 0 in the order of judging.
    """

    shard_id: int
    attempt: int
    first_ord: int
    last_ord: int
    worker: str
    engine: str | None
    claimed_at: datetime | None
    failed_at: datetime
    reason: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Known:
    """What a job has of one judgement: critiques in the order of `k` from 0, with their texts where it kept them.

    None stands for one that another job would have otherwise. `if_decided`: they may be taken where they decide the
    step, and not as its first ones.
    """

    critiques: tuple[Critique | None, ...]
    with_texts: bool
    if_decided: bool = False


@dataclass(frozen=True, slots=True)
class StoredSolution:
    """A solution as the worker reads it back. `previous_critiques`: those that it has from before an extension.

    `screen` has what a cheaper judge said of each step, P(correct) in [0, 1] or None; None where nothing was screened.
    `keys` are those of the steps' judgements and `contents` what they are made of (rprm_jobs.judge.judgement; empty:
    none can be reused), `known` what the store has of them, by step.
    """

    ord: int
    id: str
    problem: str
    steps: tuple[str, ...]
    judge_steps: tuple[int, ...] | None = None
    previous_critiques: tuple[Critique, ...] = ()
    screen: tuple[float | None, ...] | None = None
    keys: tuple[bytes, ...] = ()
    known: Mapping[int, Known] = field(default_factory=dict)
    contents: tuple[bytes, ...] = ()

    @property
    def judged_steps(self) -> Sequence[int]:
        """The 0-based steps to judge, ascending."""
        return range(len(self.steps)) if self.judge_steps is None else self.judge_steps


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a worker cannot do, and since when."""

    what: str
    since: datetime


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker with its latest heartbeat, which was `silent_s` seconds ago."""

    id: str
    queue: str
    judge: str
    engine: str
    host: str
    pid: int
    slots: int
    started_at: datetime
    silent_s: float
    prompt_tokens: int
    generated_tokens: int
    prefix_hit_rate: float | None
    swept_at: datetime | None = None
    trouble: Trouble | None = None
    log: str | None = None
