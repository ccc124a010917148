"""verl: `reward.custom_reward_function.path` is this file, `name` compute_score, `reward_kwargs` those of StepJudge.

verl does not pass the problem: the data set's `extra_info` must have it as `problem` or `question`. It has nothing for
no reward, so a solution that cannot be judged stops the step, unless `unjudgeable` names the score that you choose.
`rate_limited` makes a zero of every failure: use `naive`, or `remote` with `name` compute_score_blocking.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from rprm_jobs.errors import InputError
from rprm_jobs.rewards.judge import StepJudge

# What verl hands to every function where it serves a reward model of its own.
_OF_VERL = ("reward_router_address", "reward_model_tokenizer")
_judges: dict[str, StepJudge] = {}


async def compute_score(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """`compute_score_blocking` in a thread, for the managers that await."""
    return await asyncio.to_thread(compute_score_blocking, *args, **kwargs)


def compute_score_blocking(
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
    (reward,) = _judge(options).rewards([(problem, solution_str)])
    score = unjudgeable if reward.reward is None else reward.reward
    if score is None:
        raise InputError(f"a solution cannot be judged: {reward.reason}", hint="set reward_kwargs.unjudgeable")
    failed = reward.reward is None
    first_error = -1 if reward.first_error is None else reward.first_error
    return {"score": score, "judge_failed": failed, "first_error": first_error, "steps": len(reward.step_rewards)}


def _judge(options: Mapping[str, Any]) -> StepJudge:
    """One judge for each set of options, which may hold mappings, such as those of OmegaConf."""
    options = {name: value for name, value in options.items() if name not in _OF_VERL}
    key = json.dumps(options, sort_keys=True, default=dict)
    return _judges.setdefault(key, StepJudge(**json.loads(key)))
