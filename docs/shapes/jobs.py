"""Shapes of the commands about jobs."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from docs.shapes.common import Counts, Row
from rprm_jobs.formats.readers.labelled import LabelCounts
from rprm_jobs.services.jobs.like import Measured


class Ended(TypedDict):
    """How a job ended, with --wait; `failed` and `quarantined` solutions have no outcome."""

    job_id: NotRequired[int]
    state: str
    ok: int
    failed: int
    quarantined: int


class Submitted(TypedDict):
    """A submission; `created` is false where an equal job was there. What ended it: with --wait."""

    job_id: int
    created: bool
    solutions: int
    steps: int
    critiques: int
    bytes: int
    refused: int
    refused_files: list[str]
    read_as: list[str]
    state: NotRequired[str]
    ok: NotRequired[int]
    failed: NotRequired[int]
    quarantined: NotRequired[int]
    labels: NotRequired[LabelCounts]
    scores: NotRequired[Ended]
    judged: NotRequired[Ended]


class Demo(TypedDict):
    """Result rows of the shipped examples."""

    job_id: int
    results: list[Row]


class HistogramShape(TypedDict):
    """`classes` of lengths with `from`, `to` and `count`."""

    total: int
    most: int
    classes: list[dict[str, int]]


class Inspected(TypedDict):
    """How an input would be read; `complete` is false where only the first rows were."""

    read_as: list[str]
    reading: Row
    complete: bool
    solutions: int
    refused: int
    steps: HistogramShape
    tokens: HistogramShape
    rows: list[Row]
    refusals: list[Row]


class Cost(TypedDict):
    """What a job would cost; what is measured is null where no finished job is like it. `writes`: it has critiques."""

    solutions: int
    steps: int
    critiques: int
    most_critiques: int
    refused: int
    prompt_tokens: int
    distinct_prompt_tokens: int
    critique_tokens: int
    critique_tokens_range: tuple[int, int] | None
    tokens_per_s: float | None
    seconds: float | None
    bytes: int
    measured: bool
    tokens_per_critique: Measured | None
    critiques_per_step: Measured | None
    measured_tokens_per_s: Measured | None
    reused: int
    read_as: list[str]
    writes: bool


class Recommended(TypedDict):
    """The options of a setting, its part of the critiques, and by how many points it moved PRMBench's score."""

    options: str
    fraction: float
    score_change: tuple[float, float]


class Estimated(Cost):
    """The cost of a job, of its `screen` before it, and what would cost less: first the setting to try first."""

    recommended: list[Recommended]
    screen: Cost | None


class Status(TypedDict):
    """How far a job is. `rates` and `eta_s` are null before it starts; `attempts`: with --attempts."""

    job_id: int
    state: str
    kind: str
    name: str | None
    judge: str
    judge_digest: str
    judge_path: str | None
    k: int
    policy: str
    until_first_error: bool
    priority: int
    solutions: int
    steps: int
    done: Counts
    extension: Row | None
    shards: Counts
    rates: dict[str, float] | None
    eta_s: float | None
    prefix_hit_rate: float | None
    workers: list[Row]
    forced_verdicts: int | None
    last_sweep_at: str | None
    unserved: bool
    last_error: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    attempts: NotRequired[list[Row]]


class ListedJob(TypedDict):
    """One job of the list."""

    job_id: int
    state: str
    kind: str
    name: str | None
    judge: str
    judge_digest: str
    judge_path: str | None
    k: int
    solutions: int
    done: int
    failed: int
    created_at: str
    sources: list[str]
    reading: Row


class Cancelled(TypedDict):
    """`cancelled` is false for a job that was cancelled before; `extension`: its extension was, and it is done."""

    job_id: int
    cancelled: bool
    extension: bool


class Retried(TypedDict):
    """How many solutions are judged again."""

    job_id: int
    retried: int


class Deleted(TypedDict):
    """A job that is gone."""

    job_id: int
    deleted: bool


class Extended(TypedDict):
    """A job that gets up to `k` critiques a step; how it ended: with --wait."""

    job_id: int
    k: int
    state: NotRequired[str]
    ok: NotRequired[int]
    failed: NotRequired[int]
    quarantined: NotRequired[int]
