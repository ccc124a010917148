"""NeMo-Gym's `/aggregate_metrics`: statistics of the rows that `/verify` answered, of each task and of all.

Rows without a reward (`mask_sample`, or a failure's class) are counted, and are in no statistic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

MOST_ROWS = 1_000_000
_TASK = "_ng_task_index"
# Anything beyond is no measure of a rollout, and its square no number.
_LARGEST = 1e150
_STATISTICS: Mapping[str, Callable[[Any], Any]] = {
    "mean": np.mean,
    "max": np.max,
    "min": np.min,
    "median": np.median,
    "std": lambda values: np.std(values, ddof=1) if len(values) > 1 else 0.0,
}
_UNMEASURED = ("_ng_task_index", "_ng_rollout_index", "mask_sample")


class AggregateRequest(BaseModel):
    """Answers of `/verify`, each with `reward` and `_ng_task_index`."""

    model_config = ConfigDict(extra="ignore")

    verify_responses: Annotated[list[dict[str, Any]], Field(max_length=MOST_ROWS)]


def aggregate(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What NeMo-Gym expects: `group_level_metrics` by task, `agent_metrics` of all, and its means as `key_metrics`."""
    groups: dict[int, list[Mapping[str, Any]]] = {}
    failed = 0
    for row in rows:
        if row.get("mask_sample") or row.get("_ng_failure_class"):
            failed += 1
        else:
            task = row.get(_TASK)
            groups.setdefault(task if type(task) is int else 0, []).append(row)
    if not groups and not failed:
        return {"group_level_metrics": [], "agent_metrics": {}, "key_metrics": {}}
    every = _statistics([row for task in groups.values() for row in task])
    return {
        "group_level_metrics": [{**_statistics(groups[task]), _TASK: task} for task in sorted(groups)],
        "agent_metrics": {**every, "judge_failed": failed},
        "key_metrics": {name: value for name, value in every.items() if name.startswith("mean/")},
    }


def _statistics(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """`mean/reward` and the like, of every field that is a number somewhere; booleans count as 0 and 1."""
    values: dict[str, list[float]] = {}
    for row in rows:
        for name, value in {**row, **_usage(row)}.items():
            if isinstance(value, int | float) and abs(value) < _LARGEST and name not in _UNMEASURED:
                values.setdefault(name, []).append(float(value))
    return {
        f"{name}/{field}": float(compute(numbers))
        for field, numbers in values.items()
        for name, compute in _STATISTICS.items()
    }


def _usage(row: Mapping[str, Any]) -> Mapping[str, Any]:
    response = row.get("response")
    usage = response.get("usage") if isinstance(response, dict) else None
    return usage if isinstance(usage, dict) else {}
