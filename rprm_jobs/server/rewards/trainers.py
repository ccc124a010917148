"""What each trainer sends and expects, field by field; none of it is judged here.

OpenRLHF: `{"query": [prompt + response], "prompts": [...], "labels": [...]}`, special tokens left in the texts, and
`{"rewards", "scores", "extra_logs"}` back; lists may be empty. slime: `{"prompt", "response", "label"}`, and the whole
reply is the reward. NeMo-Gym: a resources server's `/verify`, the body back with `reward`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rprm_jobs.formats.readers.bad_row import BadRow, LeftOut
from rprm_jobs.formats.readers.row_formats import nemo_gym
from rprm_jobs.formats.readers.row_formats.messages import problem_of, unframed_problem, unframed_solution
from rprm_jobs.formats.readers.row_formats.protocol import ReadContext
from rprm_jobs.server.rewards.prompts import response_in
from rprm_jobs.services.jobs.rewards import Reward

# OpenRLHF shards a batch over its servers; nobody sends more than a batch.
MOST_QUERIES = 4096


class OpenRlhfRequest(BaseModel):
    """One batch of OpenRLHF, of which `query[i]` is `prompts[i]` with the response behind it."""

    model_config = ConfigDict(extra="ignore")

    query: Annotated[list[str], Field(max_length=MOST_QUERIES)]
    prompts: Annotated[list[str] | None, Field(max_length=MOST_QUERIES)] = None
    labels: Annotated[list[Any] | None, Field(max_length=MOST_QUERIES)] = None

    @model_validator(mode="after")
    def _same_length(self) -> OpenRlhfRequest:
        if self.prompts is not None and len(self.prompts) != len(self.query):
            raise ValueError(f"query has {len(self.query)} texts and prompts has {len(self.prompts)}")
        return self

    def row(self, index: int) -> dict[str, Any]:
        """One query as a row. Raises BadRow where the response cannot be told from its prompt."""
        query, prompt, context = self.query[index], self.prompts[index] if self.prompts else "", ReadContext()
        response = response_in(query, prompt)
        if response is None:
            raise BadRow("query does not contain its prompt" if prompt else "the query has no prompt in prompts")
        return {"problem": unframed_problem(prompt, context), "solution": unframed_solution(response, context)}


def openrlhf_reply(rewards: Sequence[Reward]) -> dict[str, Any]:
    """Rewards in the order of the queries; null for one that cannot be judged, which OpenRLHF takes for no reward.

    A batch of one, as it sends them, is null altogether then. `extra_logs` has the same numbers for every sample.
    """
    values = [reward.reward for reward in rewards]
    # A list with a null in it is no reward to OpenRLHF but a crash.
    lists = values if len(values) != 1 or values[0] is not None else None
    logs = {
        "judge_failed": [0.0 if reward.reward is not None else 1.0 for reward in rewards],
        "judged_steps": [sum(step is not None for step in reward.step_rewards) for reward in rewards],
    }
    return {"rewards": lists, "scores": lists, "extra_logs": logs}


class SlimeRequest(BaseModel):
    """One sample of slime."""

    model_config = ConfigDict(extra="ignore")

    prompt: str | list[dict[str, Any]]
    response: str
    label: Any = None

    def row(self) -> dict[str, Any]:
        """The sample as a row; BadRow where the messages have no user turn."""
        context = ReadContext()
        problem = problem_of(self.prompt, context)
        return {"problem": problem or "", "solution": unframed_solution(self.response, context)}


class NemoGymRequest(BaseModel):
    """The body of `/verify`; everything else in it comes back as it is."""

    model_config = ConfigDict(extra="allow")

    responses_create_params: dict[str, Any]
    response: dict[str, Any]

    def row(self) -> dict[str, Any]:
        """The rollout as a row. Raises BadRow or LeftOut for one without a problem or a text."""
        body = {"responses_create_params": self.responses_create_params, "response": self.response}
        reason = next((reason for need in nemo_gym.FORMAT.needs if (reason := need.problem_in(body)) is not None), None)
        if reason is not None:
            raise BadRow(reason or "responses_create_params.input or response.output is missing")
        converted = next(iter(nemo_gym.FORMAT.convert(body, ReadContext())))
        if isinstance(converted, BadRow | LeftOut):
            raise converted
        return {"problem": converted["problem"], "solution": converted["solution"]}


def nemo_gym_reply(body: Mapping[str, Any], reward: Reward) -> dict[str, Any]:
    """The body with the reward, and with those of the steps beside it."""
    if reward.reward is None:
        return nemo_gym_failure(body, reward.reason or reward.status, terminal=True)
    return {
        **body,
        "reward": reward.reward,
        "step_rewards": list(reward.step_rewards),
        "first_error": reward.first_error,
        "mask_sample": False,
    }


def nemo_gym_failure(body: Mapping[str, Any], reason: str, *, terminal: bool) -> dict[str, Any]:
    """A row that NeMo-Gym keeps out of its metrics and of the loss, and judges again on resume unless `terminal`.

    Its schema wants a number in `reward`; the 0.0 is the one that its own failure rows hold, and is not read.
    """
    return {
        **body,
        "reward": 0.0,
        "mask_sample": True,
        "_ng_failure_class": "judge_failed",
        "_ng_failure_judge_error": reason,
        **({"_ng_failure_terminal": True} if terminal else {}),
    }
