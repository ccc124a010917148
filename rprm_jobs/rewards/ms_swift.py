"""ms-swift, in a file for `--external_plugins`:

    from swift.rewards import orms, prms
    from rprm_jobs.rewards.ms_swift import StepProcessReward, StepReward

    class MyReward(StepReward):
        options = {"url": "http://HOST:8000", "judge": "tiny"}

    orms["steps"], prms["steps"] = MyReward, StepProcessReward

None, which ms-swift leaves out, stands for a completion that cannot be judged and for a judge that does not answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rprm_jobs.errors import InputError
from rprm_jobs.rewards.judge import StepJudge


class StepReward:
    """An outcome reward (`--reward_funcs`). A subclass says the `options` of StepJudge."""

    options: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        self.judge = StepJudge(**self.options)

    def __call__(self, completions: list[Any], **columns: Any) -> list[float | None]:
        """One float or None for each completion. The problem is in the column `messages`, `problem` or `query`."""
        name = next((name for name in ("messages", "problem", "query") if name in columns), None)
        if name is None:
            raise InputError("there is no column messages, problem or query", hint="keep one in the data set")
        rewards = self.judge.rewards_or_none(list(zip(columns[name], completions, strict=True)))
        return [None if reward is None else reward.reward for reward in rewards]


class StepProcessReward:
    """A process reward of `swift sample` (`--prm_model`): the rewards of the steps, which ms-swift reduces by min."""

    options: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        self.judge = StepJudge(**self.options)

    def __call__(self, infer_requests: list[Any], ground_truths: Any = None, **_kwargs: Any) -> list[list[float]]:
        """A list of floats for each request, whose last message is the solution. Raises InputError, ServiceError.

        ms-swift's sampling has nothing for a solution without a reward, so one that cannot be judged is an error.
        """
        del ground_truths
        chats = [_messages(request) for request in infer_requests]
        rewards = self.judge.rewards([(messages[:-1], messages[-1:]) for messages in chats])
        for number, reward in enumerate(rewards):
            if reward.reward is None:
                raise InputError(f"sample {number} cannot be judged: {reward.reason}", hint="leave it out")
        return [[step for step in reward.step_rewards if step is not None] for reward in rewards]


def _messages(request: Any) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = request["messages"] if isinstance(request, Mapping) else request.messages
    return messages
