"""verifiers: `vf.Rubric(funcs=[step_reward(url="http://HOST:8000", judge="tiny")])`.

A rubric turns an exception into the reward 0.0, so this one raises none: without a reward it returns NaN, which is no
number and is seen at once, and leaves the reason in `state["judge_error"]`, by which such rollouts are to be left out.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Any

from rprm_jobs.errors import RprmError
from rprm_jobs.rewards.judge import StepJudge

_log = logging.getLogger(__name__)


def step_reward(*args: Any, **kwargs: Any) -> Callable[..., Awaitable[float]]:
    """A reward function of a rubric; arguments are those of `rprm_jobs.rewards.judge.StepJudge`."""
    judge = StepJudge(*args, **kwargs)

    async def step_reward(prompt: Any, completion: Any, state: dict[str, Any]) -> float:
        try:
            (reward,) = await asyncio.to_thread(judge.rewards, [(prompt, completion)])
            value, reason = reward.reward, reward.reason
        except RprmError as error:
            value, reason = None, str(error)
        if value is None:
            _log.warning("no reward: %s", reason)
            state["judge_error"] = reason
            return math.nan
        return value

    return step_reward
