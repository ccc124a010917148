"""What trainers send and get, without a judge: prompts in queries, messages of every make, statistics of rows."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from rprm_jobs.formats.readers.bad_row import BadRow, LeftOut
from rprm_jobs.rewards import judge, verl
from rprm_jobs.server.rewards.aggregates import aggregate
from rprm_jobs.server.rewards.prompts import response_in
from rprm_jobs.server.rewards.trainers import OpenRlhfRequest, SlimeRequest, nemo_gym_failure, nemo_gym_reply
from rprm_jobs.services.jobs.rewards import Reward

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
LONG = "Answer in steps, one a line. " * 3 + "What is 1 + 1?\nAnswer:"


@pytest.mark.parametrize(
    ("query", "prompt", "response"),
    [
        ("What is 2?A 2.", "What is 2?", "A 2."),
        ("<s> What is 2? A 2.</s>", "What is 2?", " A 2.</s>"),
        # Decoding has changed the white space.
        ("What is 2 ?\n\nA 2.", "What  is 2?", "\n\nA 2."),
        # The prompt was cut at its front.
        (LONG[20:] + " 2.", LONG, " 2."),
        ("A 2.", "What is 2?", None),
        ("", "What is 2?", None),
        ("A 2.", " ", None),
        # So short an end of the prompt may be there by chance.
        ("2? A 2.", "What is 2?", None),
    ],
)
def test_a_response_begins_where_its_prompt_ends(query: str, prompt: str, response: str | None) -> None:
    assert response_in(query, prompt) == response


def test_an_openrlhf_query_without_its_prompt_is_refused_by_itself() -> None:
    request = OpenRlhfRequest(query=["pa", "b"], prompts=["p", "p"], labels=[None, {"odd": 1}])
    assert request.row(0) == {"problem": "p", "solution": "a"}
    with pytest.raises(BadRow, match="does not contain"):
        request.row(1)
    with pytest.raises(BadRow, match="no prompt"):
        OpenRlhfRequest(query=["a"]).row(0)


def test_a_problem_that_needs_an_image_is_not_judged_without_it() -> None:
    text = {"type": "text", "text": "What is shown?"}
    messages = [{"role": "user", "content": [IMAGE, text]}]
    with pytest.raises(LeftOut, match="need an image"):
        SlimeRequest(prompt=messages, response="A cat.").row()
    plain = [{"role": "user", "content": [text]}]
    assert SlimeRequest(prompt=plain, response="A cat.", label=None).row()["problem"] == "What is shown?"


class Message(BaseModel):
    """As verifiers has its messages: objects that look like mappings and are none."""

    model_config = ConfigDict(extra="allow")

    role: str
    content: Any = None


def test_messages_of_every_make_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def ask(_self: judge.StepJudge, rows: list[dict[str, Any]]) -> list[Reward]:
        asked.extend(rows)
        return [Reward(0.5, (0.5,), -1, "ok")] * len(rows)

    monkeypatch.setattr(judge.StepJudge, "_ask", ask)
    parts = [Message(role="", content=None).model_copy(update={"type": "text", "text": "q"})]
    pairs = [
        ([Message(role="user", content="q")], [Message(role="assistant", content="a")]),
        ([Message(role="user", content=parts)], (Message(role="assistant", content="a"),)),
        ("q", "a"),
        ([{"role": "user", "content": [IMAGE, {"type": "text", "text": "q"}]}], "a"),
        ([{"role": "user", "content": "q"}], []),
    ]
    rewards = judge.StepJudge().rewards(pairs)
    assert [reward.reward for reward in rewards] == [0.5, 0.5, 0.5, None, None]
    assert asked == [{"problem": "q", "solution": "a"}] * 3
    assert [reward.reason for reward in rewards[3:]] == [
        "problems that need an image", "the completion has no assistant message",
    ]  # fmt: skip


def test_verls_own_arguments_and_nested_options_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[judge.StepJudge] = []

    def rewards(self: judge.StepJudge, _pairs: Any) -> list[Reward]:
        made.append(self)
        return [Reward(0.5, (0.5,), -1, "ok")]

    monkeypatch.setattr(judge.StepJudge, "rewards", rewards)
    extra = {"problem": "q", "num_turns": 1, "rollout_reward_scores": {}}
    for _ in range(2):
        score = verl.compute_score_blocking(
            "d", "a", None, extra, judge="tiny", options={"run": "r", "seed": 1},
            reward_router_address="10.0.0.1:1", reward_model_tokenizer=object(),
        )  # fmt: skip
    assert score == {"score": 0.5, "judge_failed": False, "first_error": -1, "steps": 1}
    assert made[0] is made[1]
    assert (made[0].judge, made[0].options) == ("tiny", {"run": "r", "seed": 1})


def test_a_nemo_gym_failure_is_in_no_statistic() -> None:
    body = {"_ng_task_index": 0, "response": {"usage": {"total_tokens": 7}}}
    rows = [
        nemo_gym_reply({**body, "_ng_rollout_index": n}, Reward(reward, (reward,), -1, "ok"))
        for n, reward in enumerate((0.25, 0.75))
    ]
    rows.append(nemo_gym_reply({**body, "_ng_task_index": 1}, Reward(1.0, (1.0,), -1, "ok")))
    rows.append(nemo_gym_reply(body, Reward(None, (), None, "failed", "no verdict")))
    rows.append(nemo_gym_failure(body, "away", terminal=False))
    rows.append({**body, "reward": 1e300, "_ng_task_index": "odd", "mask_sample": False, "huge": 10**400})
    metrics = aggregate(rows)
    assert [group["_ng_task_index"] for group in metrics["group_level_metrics"]] == [0, 1]
    first = metrics["group_level_metrics"][0]
    assert (first["mean/reward"], first["max/reward"], first["median/reward"]) == (0.5, 0.75, 0.5)
    assert first["std/reward"] == pytest.approx(0.5**0.5 / 2)
    assert metrics["group_level_metrics"][1]["std/reward"] == 0.0
    assert metrics["agent_metrics"]["judge_failed"] == 2
    assert metrics["agent_metrics"]["mean/reward"] == pytest.approx(2 / 3)
    assert metrics["key_metrics"] == {
        name: value for name, value in metrics["agent_metrics"].items() if name.startswith("mean/")
    }
    assert metrics["key_metrics"]["mean/total_tokens"] == 7
    assert aggregate([]) == {"group_level_metrics": [], "agent_metrics": {}, "key_metrics": {}}
