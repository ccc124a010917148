"""The shape of what each command prints with --json, one a command; `json-output.schema.json` is generated from them.

Tests hold what commands print against the schema: a field that is added or renamed is changed here as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NotRequired, TypedDict

from rprm_jobs.cli.shared.checkup import Check
from rprm_jobs.formats.readers.labelled import LabelCounts
from rprm_jobs.launch.improve import Round
from rprm_jobs.local import ServiceStatus
from rprm_jobs.services.jobs.like import Measured
from rprm_jobs.services.publishing.push import Pushed
from rprm_jobs.services.training.sets import Built
from rprm_jobs.store.training.runs import Logged
from rprm_jobs.types import Sampling

Row = dict[str, Any]
Counts = dict[str, int]
Interval = tuple[float, float] | None


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


class Estimated(TypedDict):
    """What a job would cost; what is measured is null where no finished job is like it."""

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
    recommended: Row | None
    read_as: list[str]


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


class ResultRows(TypedDict):
    """Rows that were written to `output`, or are in `results` where that is standard output."""

    job_id: int
    output: str
    results: NotRequired[list[Row]]
    rows: int
    missing: int


class Report(TypedDict):
    """The page that was written."""

    job_id: int
    output: str
    sample: int
    shown: int
    bytes: int


class Audited(TypedDict):
    """Findings by job; `repaired`: with --repair."""

    clean: bool
    jobs: list[Row]
    repaired: NotRequired[list[Row]]


class Parity(TypedDict):
    """How far P(Yes) of an engine lies from a second pass."""

    engine: str
    steps: int
    critiques: int
    without_verdict: int
    largest_difference: float
    mean_difference: float
    calls_that_differ: int
    tolerance: float
    passed: bool


class ProcessBench(TypedDict):
    """Accuracies and F1 in percent, by subset."""

    subsets: dict[str, Row]
    average_f1: float | None
    average_f1_interval: Interval
    missing: int
    missing_by_reason: Counts
    without_prediction: int
    without_prediction_by_reason: Counts
    calibrated: NotRequired[Row]


class PrmBench(TypedDict):
    """Scores in percent, by class and dimension."""

    overall: float | None
    classes: dict[str, float]
    dimensions: dict[str, float | None]
    n_items: int
    n_steps: int
    out_of_range: int
    missing: int
    invalid: int
    short: int
    repeated: int
    unnamed: int
    absent_classes: list[str]
    controls: dict[str, float | None]
    calibrated: NotRequired[Row]


class Compared(TypedDict):
    """Judges side by side on the solutions that their jobs share."""

    shared: int
    labelled: int
    differ: int
    jobs: list[Row]
    pairs: list[Row]


class Simulated(TypedDict):
    """What each stopping rule would have cost and changed."""

    k: int
    threshold: float
    steps: int
    left_out: int
    rules: list[Row]


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
    """A shipped judge or policy; with --families a family and its `fields`."""

    judge: NotRequired[str]
    writes: NotRequired[str]
    location: NotRequired[str]
    fingerprint: NotRequired[str]
    queue: NotRequired[str]
    sampling: NotRequired[Sampling]
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


class Calibration(TypedDict):
    """A calibration as it was learned."""

    name: str
    steps: int
    threshold: float
    position: bool
    sources: list[str]
    made_at: str


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


# By command, in the order of the reference. Of best-of-n every `pass@N` stands at the top, so its fields are open.
SHAPES: Mapping[str, Any] = {
    "demo": Demo,
    "inspect": Inspected,
    "submit": Submitted,
    "rollout": Submitted,
    "search": Submitted,
    "estimate": Estimated,
    "status": Status,
    "jobs": list[ListedJob],
    "cancel": list[Cancelled],
    "retry": list[Retried],
    "extend": Extended,
    "delete": list[Deleted],
    "results": ResultRows,
    "report": Report,
    "compare": Compared,
    "eval processbench": ProcessBench,
    "eval prmbench": PrmBench,
    "eval best-of-n": Row,
    "stopping simulate": Simulated,
    "calibrate fit": Calibration,
    "calibrate list": list[Calibration],
    "calibrate delete": DeletedSet,
    "audit": Audited,
    "parity": Parity,
    "push results": Pushed,
    "push pairs": Pushed,
    "push sft": Pushed,
    "sample": Submitted,
    "sft build": Built,
    "sft list": list[ListedSet],
    "sft show": ShownSet,
    "sft export": ExportedSet,
    "sft delete": DeletedSet,
    "pairs build": Built,
    "pairs list": list[ListedSet],
    "pairs show": ShownSet,
    "pairs export": ExportedSet,
    "pairs delete": DeletedSet,
    "train sft": Trained,
    "train dpo": Trained,
    "runs": list[ListedRun] | ShownRun,
    "improve": Improved,
    "workers": list[WorkerShape],
    "logs": list[LogLine],
    "token create": Token,
    "token list": list[Token],
    "token revoke": Revoked,
    "token log": list[Row],
    "judges": list[Model],
    "services up": list[ServiceStatus],
    "services down": ServersDown,
    "services status": list[ServiceStatus],
    "db upgrade": Upgraded,
    "db current": Schema,
    "doctor": list[Check] | Canaries,
}

# Commands that print what another prints, with some option: several --judge are compared.
OR_AS: Mapping[str, str] = {"eval processbench": "compare"}

# The last line of standard error where a command with --json fails.
ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["kind", "what", "where", "hint", "status"],
            "properties": {
                "kind": {"type": "string"},
                "what": {"type": "string"},
                "where": {"type": "string"},
                "hint": {"type": "string"},
                "status": {"type": "integer"},
                "bad_rows": {"type": "array", "items": {"type": "object"}},
                "n_bad": {"type": "integer"},
            },
        }
    },
}
