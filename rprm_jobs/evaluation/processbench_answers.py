"""What one row says of one solution of ProcessBench: a prediction, rewards that lead to one, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rprm_jobs.aggregation import first_error
from rprm_jobs.errors import InputError
from rprm_jobs.evaluation.metrics import NO_ERROR, THRESHOLD
from rprm_jobs.types import ItemStatus
from rprm_jobs.words import counted

NO_ROW = "no row"
NO_REWARD = "without a reward"
NO_PREDICTION = "without a prediction"
NOT_A_NUMBER = "prediction is not a whole number"
NO_SUCH_STEP = "prediction names no step"
# By their own names, and by those of the rows that R-PRM's code writes.
PREDICTIONS = ("prediction", "predict")
REWARDS = ("rewards", "responses", "yes_probability_average")


@dataclass(frozen=True, slots=True)
class Answer:
    """The predicted first error of one solution, or None with the reason why there is none.

    `missing`: the system was not asked, or its answer was lost, so that nothing can be said of how good it is.
    """

    prediction: int | None
    reason: str = ""
    missing: bool = False


def predict(rewards: Sequence[float | None], threshold: float = THRESHOLD) -> Answer:
    """The first step with a reward below `threshold`, if no reward before it is missing (see `first_error`)."""
    prediction = first_error(rewards, threshold)
    return Answer(prediction, NO_REWARD if prediction is None else "")


def read_answer(row: Mapping[str, Any], n_steps: int | None, threshold: float = THRESHOLD) -> Answer:
    """The answer in one row: a prediction, or else rewards, under one of their names. Raises InputError."""
    status = row.get("status", ItemStatus.OK)
    if status != ItemStatus.OK:
        return answer_of_status(str(status))
    prediction, rewards = _first_of(row, PREDICTIONS), _first_of(row, REWARDS)
    if prediction is not None:
        return _prediction(prediction, n_steps)
    if rewards is not None:
        return predict(checked_rewards(rewards, n_steps), threshold)
    if any(name in row for name in (*PREDICTIONS, *REWARDS)):
        return Answer(None, NO_PREDICTION)
    raise InputError("the row has neither prediction nor rewards")


def _first_of(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def answer_of_status(status: str) -> Answer:
    """The answer of a solution that was not judged well: what FAILED is the judge's, nothing else is."""
    return Answer(None, status, missing=status != ItemStatus.FAILED)


def _prediction(value: Any, n_steps: int | None) -> Answer:
    """As the benchmark reads it: what `int` takes, so `"2"` and 2.0 are 2. Anything else is no prediction."""
    try:
        number = None if type(value) is bool else int(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or (type(value) is float and value != number):
        missing = type(value) is float and math.isnan(value)
        return Answer(None, NO_PREDICTION if missing else NOT_A_NUMBER)
    if number < NO_ERROR or (n_steps is not None and number >= n_steps):
        return Answer(None, NO_SUCH_STEP)
    return Answer(number)


def checked_rewards(value: Any, n_steps: int | None) -> list[float | None]:
    """`value` as one reward per step, each in [0, 1] or None. Raises InputError with what is wrong."""
    if type(value) is not list:
        raise InputError("the rewards are not a list")
    if n_steps is not None and len(value) != n_steps:
        raise InputError(f"{counted(len(value), 'reward')} for {counted(n_steps, 'step')}")
    for number, reward in enumerate(value, 1):
        if reward is not None and (type(reward) not in (int, float) or not 0 <= reward <= 1):
            raise InputError(f"reward {number} is {reward!r}, not a number in 0..1 or null")
    return value
