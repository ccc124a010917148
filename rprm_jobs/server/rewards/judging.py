"""From what a trainer sends to a solution in the lane, and from its outcome to one reward.

That the judge did not answer is an error (503), after which the same request may be sent again at no cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from rprm_jobs.formats.readers.bad_row import BadRow, LeftOut
from rprm_jobs.judge.recipe import MAX_K
from rprm_jobs.server.judges import JudgeBook
from rprm_jobs.server.rewards.lane import LiveLane
from rprm_jobs.services.jobs.rewards import Aggregation, Reward, default_run, read_live, refused, reward_of
from rprm_jobs.settings import Limits

MOST_WAIT_S = 3600.0


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
    threshold: Annotated[float | None, Field(ge=0, le=1, description="A step with a lower reward is called wrong.")] = (
        None
    )
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
            solution = read_live(read(), options.step_separator, self._limits)
        except (BadRow, LeftOut) as bad:
            return refused(bad)
        recipe = await self._judges.recipe(options.judge, k=options.k, seed=options.seed, threshold=options.threshold)
        run = options.run or default_run()
        outcome = await self._lane.judge(run, recipe, solution, options.timeout or timeout_s)
        return reward_of(outcome, options.aggregation)
