"""Shapes of training sets and runs."""

from __future__ import annotations

from datetime import datetime
from typing import NotRequired, TypedDict

from docs.shapes.common import Counts, Row
from rprm_jobs.launch.improve import Round
from rprm_jobs.store.training.runs import Logged


class ListedSet(TypedDict):
    """A training set as it was built."""

    id: int
    name: str
    kind: str
    rules: Row
    prompt: str
    digest: str
    counts: dict[str, Counts]
    n_train: int
    n_validation: int
    jobs: list[int]
    created_at: datetime


class ShownSet(ListedSet):
    """The set with its first rows."""

    rows: list[Row]


class ExportedSet(TypedDict):
    """Rows of a set by split; `results` where they went to standard output."""

    name: str
    output: str
    rows: Counts
    results: NotRequired[list[Row]]


class DeletedSet(TypedDict):
    """A set, or a calibration, that is gone."""

    name: str
    deleted: bool


class ListedRun(TypedDict):
    """A training run as it stands."""

    id: int
    phase: str
    judge: str
    judge_digest: str
    data: str
    data_digest: str
    recipe: Row
    total_steps: int
    n_train: int
    n_validation: int
    host: str
    folder: str
    state: str
    error: str | None
    step: int
    metrics: dict[str, float]
    started_at: datetime
    seen_at: datetime
    finished_at: datetime | None


class ShownRun(ListedRun):
    """The run with all its metrics."""

    log: list[Logged]


class Trained(TypedDict):
    """What a training says of itself, as in `run.json`."""

    phase: str
    judge: str
    data: Row
    recipe: Row
    rows_per_step: int
    bf16: bool
    minutes: float
    log: list[Row]
    out: str
    run: int | None


class Improved(TypedDict):
    """Every round, and the folder or name of the best judge."""

    rounds: list[Round]
    best: str
