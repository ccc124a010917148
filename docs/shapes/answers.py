"""Shapes of results and evaluations."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from docs.shapes.common import Counts, Interval, Row


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


class Calibration(TypedDict):
    """A calibration as it was learned."""

    name: str
    steps: int
    threshold: float
    position: bool
    sources: list[str]
    made_at: str
