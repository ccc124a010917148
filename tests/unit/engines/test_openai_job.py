"""A whole shard judged over HTTP: a server's fault is a solution's failure or the worker's end, never both."""

from __future__ import annotations

from typing import Any

import pytest

from rprm_jobs.errors import EngineDied
from rprm_jobs.store.records import StoredSolution
from rprm_jobs.types import ItemStatus, SolutionScore
from tests.support.chat_server import GOOD, Behaviour, ChatServer, reply
from tests.support.jobs import make_recipe
from tests.support.openai import run
from workers.engines.openai.engine import OpenaiEngine
from workers.engines.openai.retry import RetryPolicy
from workers.tasks.budget import Budget
from workers.tasks.judge import judge_solutions
from workers.tasks.spec import JudgeSpec

FAST = RetryPolicy(first_s=0.01, longest_s=0.02, deadline_s=20, tries=3)
SOLUTIONS = [StoredSolution(n, f"s{n}", f"Problem {n}?", ("1 + 1 = 2", f"odd {n}")) for n in range(3)]


def judge(*behaviours: Behaviour, by_prompt: dict[str, Behaviour]) -> dict[int, SolutionScore]:
    scores: list[SolutionScore] = []

    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        server.by_prompt = by_prompt
        work = JudgeSpec.of(make_recipe(k=2), 0)
        await judge_solutions(engine, Budget(100), work, SOLUTIONS, scores.append, lambda: False)

    run(test, *behaviours, policy=FAST)
    return {score.ord: score for score in scores}


def spoiled(**changes: Any) -> Behaviour:
    """The good answer with its choice changed."""
    return reply(200, {**GOOD, "choices": [{**GOOD["choices"][0], **changes}]})


@pytest.mark.parametrize("failure", [reply(500, {"error": "x"}), spoiled(finish_reason=None), reply(200, {"a": 1})])
def test_of_three_solutions_only_the_one_fails_that_the_server_never_answers(failure: Behaviour) -> None:
    scores = judge(by_prompt={"odd 1": failure})
    assert {ord_: score.status for ord_, score in scores.items()} == {
        0: ItemStatus.OK,
        1: ItemStatus.FAILED,
        2: ItemStatus.OK,
    }
    assert "step 2: the server answers other prompts and not this one" in (scores[1].reason or "")


@pytest.mark.parametrize(
    "odd",
    [
        spoiled(logprobs={"content": [{"token": " Yes", "logprob": None}]}),
        spoiled(logprobs="none"),
        reply(200, {**GOOD, "usage": None}),
        spoiled(message={"content": [{"type": "text", "text": GOOD["choices"][0]["message"]["content"]}]}),
    ],
)
def test_an_odd_reply_fails_nobody(odd: Behaviour) -> None:
    scores = judge(by_prompt={"odd 1": odd})
    assert [scores[n].status for n in range(3)] == [ItemStatus.OK] * 3
    assert all(reward is not None for score in scores.values() for reward in score.rewards)


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_key_or_an_account_that_ends_half_way_fails_no_solution(status: int) -> None:
    scores: list[SolutionScore] = []

    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        server.default = reply(status, {"error": "no more"})
        work = JudgeSpec.of(make_recipe(k=2), 0)
        with pytest.raises(EngineDied):
            await judge_solutions(engine, Budget(100), work, SOLUTIONS, scores.append, lambda: False)

    run(test, *[reply(200, GOOD)] * 4, policy=FAST)
    assert all(score.status is ItemStatus.OK for score in scores)
