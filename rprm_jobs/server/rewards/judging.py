"""From what a trainer sends to a solution in the lane, and from its outcome to one reward.

A solution that cannot be judged has no reward and a reason, whatever the cause: no text, too long for the judge, or
critiques without a verdict. That the judge did not answer is another thing: an error (503), after which the same
request may be sent again at no cost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from rprm_jobs.evaluation.picking import last, mean
from rprm_jobs.formats import BadRow, ReadOptions, to_solution
from rprm_jobs.formats.readers.bad_row import LeftOut
from rprm_jobs.formats.readers.decode import refuse_unstorable
from rprm_jobs.judge.recipe import MAX_K
from rprm_jobs.server.judges import JudgeBook
from rprm_jobs.server.rewards.lane import LiveLane
from rprm_jobs.services.jobs.live import LiveOutcome, content_id
from rprm_jobs.settings import Limits
from rprm_jobs.types import ItemStatus, Solution

MOST_WAIT_S = 3600.0


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


class RewardOptions(BaseModel):
    """How a trainer's solutions are judged: query parameters of every reward route."""

    model_config = ConfigDict(extra="forbid")

    judge: Annotated[
        str | None, Field(description="A judge that the service offers.", min_length=1, max_length=300)
    ] = None
    k: Annotated[int | None, Field(ge=1, le=MAX_K, description="Critiques of each step.")] = None
    aggregation: Annotated[Aggregation, Field(description="How the reward follows from those of the steps.")] = (
        Aggregation.MIN
    )
    run: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=100,
            pattern=r"^[\w.:@/+-]+$",
            description="The training run: equal solutions of a run are judged once. Default: the date.",
        ),
    ] = None
    seed: Annotated[int, Field(ge=0, lt=2**63, description="Seeds the critiques.")] = 0
    threshold: Annotated[float, Field(ge=0, le=1, description="A step with a lower reward is called wrong.")] = 0.5
    step_separator: Annotated[
        str | None, Field(min_length=1, max_length=100, description="Cuts a solution's text into steps.")
    ] = None
    timeout: Annotated[
        float | None, Field(gt=0, le=MOST_WAIT_S, description="Seconds to wait for the judge; then 503.")
    ] = None


class SlimeOptions(RewardOptions):
    """Those of slime's route."""

    detail: Annotated[
        bool, Field(description="Answer an object, for `--reward-key reward`, in place of the bare number.")
    ] = False


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


class RewardService:
    """Judges single solutions for the routes. `timeout_s` of `judge` counts where the request names none."""

    def __init__(self, lane: LiveLane, judges: JudgeBook, limits: Limits) -> None:
        self._lane, self._judges, self._limits = lane, judges, limits

    async def judge(
        self, read: Callable[[], Mapping[str, Any]], options: RewardOptions, *, timeout_s: float = 60.0
    ) -> Reward:
        """The reward of the row that `read` returns: with `problem`, and `steps` or `solution`.

        Raises NotInTime, Overloaded, StoreError; NotFound for an unknown judge.
        """
        try:
            solution = self._solution(read(), options)
        except (BadRow, LeftOut) as bad:
            return Reward(None, (), None, ItemStatus.FAILED.value, str(bad))
        recipe = await self._judges.recipe(options.judge, k=options.k, seed=options.seed, threshold=options.threshold)
        run = options.run or f"{datetime.now(UTC):%Y-%m-%d}"
        outcome = await self._lane.judge(run, recipe, solution, options.timeout or timeout_s)
        return _reward(outcome, options.aggregation)

    def _solution(self, row: Mapping[str, Any], options: RewardOptions) -> Solution:
        plain = {"id": "content", **row}
        refuse_unstorable(plain)
        parsed = to_solution(plain, ReadOptions(options.step_separator), self._limits)
        return Solution(content_id(parsed.problem, parsed.steps), parsed.problem, parsed.steps)


def _reward(outcome: LiveOutcome, aggregation: Aggregation) -> Reward:
    judged = [reward for reward in outcome.rewards if reward is not None]
    ok = outcome.status == ItemStatus.OK and bool(judged)
    reward = _AGGREGATE[aggregation](judged) if ok else None
    return Reward(reward, outcome.rewards, outcome.first_error, outcome.status, outcome.reason)
