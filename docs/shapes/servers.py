"""Shapes of workers, servers and what looks after them."""

from __future__ import annotations

from datetime import datetime
from typing import NotRequired, TypedDict

from docs.shapes.common import Counts, Row
from rprm_jobs.types import Sampling


class WorkerShape(TypedDict):
    """A worker and what it does."""

    id: str
    serves: str
    queue: str
    engine: str
    host: str
    pid: int
    slots: int
    started_at: str
    silent_s: float
    jobs: list[Counts]
    prompt_tokens: int
    generated_tokens: int
    trouble: str | None
    log: str | None


class LogLine(TypedDict):
    """A line of a log; without WORKER|JOB a log, with its size and its last line's time."""

    log: str
    line: NotRequired[str]
    bytes: NotRequired[int]
    written_at: NotRequired[str]


class Model(TypedDict):
    """A shipped judge or policy; with --families a family and its `fields`.

    `writes` is critique or solution, None with `sampling` for a judge that scores.
    """

    judge: NotRequired[str]
    writes: NotRequired[str | None]
    location: NotRequired[str]
    fingerprint: NotRequired[str]
    queue: NotRequired[str]
    sampling: NotRequired[Sampling | None]
    family: NotRequired[str]
    about: NotRequired[str]
    fields: NotRequired[Row | None]


class Token(TypedDict):
    """A token of the HTTP service; `token` itself only where it was created just now."""

    name: str
    scope: str
    live: NotRequired[bool]
    created_at: NotRequired[datetime]
    expires_at: datetime | None
    revoked_at: NotRequired[datetime | None]
    token: NotRequired[str]


class Revoked(TypedDict):
    """A token that is refused from now on."""

    name: str
    revoked: bool


class Canaries(TypedDict):
    """How often a judge was talked into Yes."""

    judge: str
    k: int
    job_id: int
    canaries: list[Row]


class ServersDown(TypedDict):
    """Servers that were stopped, those that are configured and were not touched, and workers that were alive."""

    stopped: list[str]
    configured: list[str]
    alive_workers: list[str]


class Upgraded(TypedDict):
    """Schema revisions."""

    before: str | None
    after: str


class Schema(TypedDict):
    """Schema revisions."""

    current: str | None
    head: str
