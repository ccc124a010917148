"""One reward for one solution: how it is read, and how it follows from the rewards of the steps.

A solution that cannot be judged has no reward and a reason, whatever the cause: no text, too long for the judge, or
critiques without a verdict. A judge that does not answer is another thing, an error of its callers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from rprm_jobs.evaluation.picking import last, mean
from rprm_jobs.formats import BadRow, ReadOptions, to_solution
from rprm_jobs.formats.readers.decode import refuse_unstorable
from rprm_jobs.services.jobs.live import LiveOutcome, content_id
from rprm_jobs.settings import Limits
from rprm_jobs.types import ItemStatus, Solution


class Aggregation(StrEnum):
    """How a solution's reward follows from those of its steps."""

    MIN = "min"
    PRODUCT = "product"
    MEAN = "mean"
    LAST = "last"


_AGGREGATE: Mapping[Aggregation, Callable[[Sequence[float]], float]] = {
    Aggregation.MIN: min,
    Aggregation.PRODUCT: math.prod,
    Aggregation.MEAN: mean,
    Aggregation.LAST: last,
}


@dataclass(frozen=True, slots=True)
class Reward:
    """One solution's reward in [0, 1], and those of its steps. Without a reward, `reason` says why.

    `first_error` is the 0-based first step called wrong, -1 for none.
    """

    reward: float | None
    step_rewards: tuple[float | None, ...]
    first_error: int | None
    status: str
    reason: str | None = None


def default_run() -> str:
    """The run of a request that names none: the day, in UTC."""
    return f"{datetime.now(UTC):%Y-%m-%d}"


def read_live(row: Mapping[str, Any], step_separator: str | None, limits: Limits) -> Solution:
    """The solution of a row with `problem`, and `steps` or `solution`; its id is its content's. Raises BadRow."""
    plain = {"id": "content", **row}
    refuse_unstorable(plain)
    parsed = to_solution(plain, ReadOptions(step_separator), limits)
    return Solution(content_id(parsed.problem, parsed.steps), parsed.problem, parsed.steps)


def refused(reason: BadRow | Exception) -> Reward:
    """What a row that is no solution gets."""
    return Reward(None, (), None, ItemStatus.FAILED.value, str(reason))


def reward_of(outcome: LiveOutcome, aggregation: Aggregation) -> Reward:
    """The reward of what was judged; steps that were not to be judged do not count."""
    judged = [reward for reward in outcome.rewards if reward is not None]
    ok = outcome.status == ItemStatus.OK and bool(judged)
    reward = _AGGREGATE[aggregation](judged) if ok else None
    return Reward(reward, outcome.rewards, outcome.first_error, outcome.status, outcome.reason)
