"""verl: `reward.custom_reward_function.path` is this file, `name` compute_score, `reward_kwargs` those of StepJudge.

verl does not pass the problem: the data set's `extra_info` must have it as `problem` or `question`. It has nothing for
no reward, so a solution that cannot be judged stops the step, unless `unjudgeable` names the score that you choose.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from rprm_jobs.errors import InputError
from rprm_jobs.rewards.judge import StepJudge


async def compute_score(
    data_source: str,  # noqa: ARG001
    solution_str: str,
    ground_truth: Any,  # noqa: ARG001
    extra_info: Mapping[str, Any] | None = None,
    *,
    unjudgeable: float | None = None,
    **options: Any,
) -> dict[str, Any]:
    """`score`, and the same further keys for every sample. Raises InputError, and ServiceError during an outage."""
    problem = (extra_info or {}).get("problem") or (extra_info or {}).get("question")
    if not problem:
        raise InputError("extra_info has no problem", hint="add it to the data set: extra_info.problem")
    judge = _judge(tuple(sorted(options.items())))
    (reward,) = await asyncio.to_thread(judge.rewards, [(problem, solution_str)])
    score = unjudgeable if reward.reward is None else reward.reward
    if score is None:
        raise InputError(f"a solution cannot be judged: {reward.reason}", hint="set reward_kwargs.unjudgeable")
    failed = reward.reward is None
    first_error = -1 if reward.first_error is None else reward.first_error
    return {"score": score, "judge_failed": failed, "first_error": first_error, "steps": len(reward.step_rewards)}


@lru_cache(maxsize=8)
def _judge(options: tuple[tuple[str, Any], ...]) -> StepJudge:
    return StepJudge(**dict(options))
