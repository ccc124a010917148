"""TRL's GRPOTrainer: `GRPOTrainer(reward_funcs=StepReward(url="http://HOST:8000", judge="tiny"), ...)`.

None, which TRL leaves out, stands for a completion that cannot be judged and for a judge that does not answer.
"""

from __future__ import annotations

from typing import Any

from rprm_jobs.rewards.judge import StepJudge


class StepReward:
    """A reward function; arguments are those of `rprm_jobs.rewards.judge.StepJudge`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.judge = StepJudge(*args, **kwargs)
        # TRL names its metrics by it.
        self.__name__ = f"{self.judge.judge}_{self.judge.aggregation}".replace("/", "_")

    def __call__(self, prompts: list[Any], completions: list[Any], **columns: Any) -> list[float | None]:
        """One float or None for each completion; prompts and completions are texts or messages."""
        rewards = self.judge.rewards_or_none(list(zip(prompts, completions, strict=True)))
        values = [None if reward is None else reward.reward for reward in rewards]
        if (log_metric := columns.get("log_metric")) is not None and values:
            log_metric("judge_failed", values.count(None) / len(values))
        return values
