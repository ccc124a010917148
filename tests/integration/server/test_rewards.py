"""Rewards over HTTP from a real scripted worker: one solution, each trainer's own form, and what is no reward."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from rprm_jobs.server.app import create_app
from rprm_jobs.server.state import ServiceOptions
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs import control
from rprm_jobs.services.jobs.query import job_status, recent_jobs
from rprm_jobs.services.upkeep.audit import audit
from tests.support.jobs import make_solutions, take_in, wait_for
from tests.support.workers import Workers

pytestmark = [pytest.mark.integration, pytest.mark.acceptance]

SCRIPTED = {"judge": "scripted", "k": 3, "run": "r1"}
BODY = {"problem": "What is 1 + 1?", "steps": ["1 + 1 = 2.", "So it is 2."]}
UNJUDGEABLE = "a [[scripted:unparsed]]"
CHAT = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhat is 1 + 1?<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.usefixtures("workers")
def test_every_form_of_one_solution_has_the_same_reward_and_is_judged_once(context: Context, http: TestClient) -> None:
    plain = http.post("/reward", params=SCRIPTED, json=BODY).json()
    assert (plain["status"], plain["reason"], len(plain["step_rewards"])) == ("ok", None, 2)
    assert plain["reward"] == min(plain["step_rewards"])
    text = "1 + 1 = 2.\n\nSo it is 2."
    assert http.post("/reward", params=SCRIPTED, json={"problem": BODY["problem"], "solution": text}).json() == plain
    for aggregation, value in (
        ("product", plain["step_rewards"][0] * plain["step_rewards"][1]),
        ("mean", sum(plain["step_rewards"]) / 2),
        ("last", plain["step_rewards"][1]),
    ):
        answer = http.post("/reward", params={**SCRIPTED, "aggregation": aggregation}, json=BODY).json()
        assert answer["reward"] == pytest.approx(value)
    openrlhf = {"query": [CHAT + text + "<|im_end|>"], "prompts": [CHAT], "labels": ["2"]}
    answer = http.post("/reward/openrlhf", params=SCRIPTED, json=openrlhf).json()
    assert answer["rewards"] == answer["scores"] == [plain["reward"]]
    assert answer["extra_logs"] == {"judge_failed": [0.0], "judged_steps": [2]}
    slime = {"prompt": [{"role": "user", "content": BODY["problem"]}], "response": text, "label": None}
    assert http.post("/reward/slime", params=SCRIPTED, json=slime).json() == plain["reward"]
    assert http.post("/reward/slime", params={**SCRIPTED, "detail": True}, json=slime).json() == plain
    answer = http.post("/reward/nemo-gym/verify", params=SCRIPTED, json=gym(text)).json()
    assert answer["reward"] == plain["reward"]
    assert {name: answer[name] for name in gym(text)} == gym(text)
    assert http.post("/reward/nemo-gym/seed_session", json={}).json() == {}
    failure = http.post("/reward/nemo-gym/verify", params=SCRIPTED, json=gym("")).json()
    rows = {"verify_responses": [answer, failure]}
    metrics = http.post("/reward/nemo-gym/aggregate_metrics", json=rows).json()
    assert metrics["key_metrics"]["mean/reward"] == plain["reward"]
    assert [group["_ng_task_index"] for group in metrics["group_level_metrics"]] == [10**30]
    assert metrics["agent_metrics"]["judge_failed"] == 1
    (job, progress), *others = recent_jobs(context, 5)
    assert (others, job.n_solutions, progress.ok, job.priority) == ([], 1, 1, 1000)
    assert [report.findings for report in audit(context, [job.id])] == [()]


def gym(text: str) -> dict[str, Any]:
    return {
        "responses_create_params": {"input": [{"role": "user", "content": BODY["problem"]}]},
        "response": {
            "id": "resp_1",
            "output": [
                {"type": "reasoning", "summary": []},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]},
            ],
        },
        "expected_answer": "2",
        "_ng_task_index": 10**30,
    }


@pytest.mark.usefixtures("workers")
def test_what_cannot_be_judged_has_no_number_in_any_form(http: TestClient) -> None:
    for body in ({**BODY, "steps": [UNJUDGEABLE]}, {"problem": "p", "solution": "  "}, {**BODY, "steps": []}):
        answer = http.post("/reward", params=SCRIPTED, json=body).json()
        assert (answer["reward"], answer["first_error"], answer["status"]) == (None, None, "failed")
        assert answer["reason"]
    for response in (UNJUDGEABLE, ""):
        query = {"query": [f"p{response}"], "prompts": ["p"], "labels": [None]}
        answer = http.post("/reward/openrlhf", params=SCRIPTED, json=query).json()
        assert (answer["rewards"], answer["scores"]) == (None, None)
        assert answer["extra_logs"] == {"judge_failed": [1.0], "judged_steps": [0]}
        slime = {"prompt": "p", "response": response}
        assert http.post("/reward/slime", params=SCRIPTED, json=slime).json() is None
        answer = http.post("/reward/nemo-gym/verify", params=SCRIPTED, json=gym(response)).json()
        assert (answer["mask_sample"], answer["_ng_failure_class"]) == (True, "judge_failed")
        assert answer["_ng_failure_terminal"] is True
        assert answer["_ng_failure_judge_error"]


@pytest.mark.usefixtures("workers")
def test_openrlhf_sends_empty_lists_and_whole_batches(http: TestClient) -> None:
    empty = http.post("/reward/openrlhf", params=SCRIPTED, json={"query": [], "prompts": [], "labels": []})
    assert (empty.status_code, empty.json()["rewards"]) == (200, [])
    queries = {"query": [f"q{n}: step {n}" for n in range(5)] + [f"q5: {UNJUDGEABLE}"]}
    queries |= {"prompts": [f"q{n}:" for n in range(6)], "labels": [""] * 6}
    answer = http.post("/reward/openrlhf/get_reward", params=SCRIPTED, json=queries).json()
    assert [reward is None for reward in answer["rewards"]] == [False] * 5 + [True]
    bad = http.post("/reward/openrlhf", params=SCRIPTED, json={**queries, "prompts": ["q0"]})
    assert bad.status_code == 422


def test_an_outage_is_503_or_a_row_to_be_judged_again_and_never_a_number(context: Context, http: TestClient) -> None:
    params = {**SCRIPTED, "timeout": 0.3}
    answers = [
        http.post("/reward", params=params, json=BODY),
        http.post("/reward/openrlhf", params=params, json={"query": ["pa"], "prompts": ["p"], "labels": [None]}),
        http.post("/reward/slime", params=params, json={"prompt": "p", "response": "a"}),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:rprm-jobs:not-in-time")
        assert int(answer.headers["retry-after"]) > 0
    row = http.post("/reward/nemo-gym/verify", params=params, json=gym("a"))
    assert (row.status_code, row.json()["_ng_failure_class"]) == (200, "judge_failed")
    assert "_ng_failure_terminal" not in row.json()
    # What was asked is queued, and asked again it is not queued twice.
    assert http.post("/reward", params=params, json=BODY).status_code == 503
    assert job_status(context, recent_jobs(context, 1)[0][0].id).progress.shards == 3


@pytest.mark.parametrize(
    ("params", "body", "status"),
    [
        ({"judge": "/etc"}, BODY, 404),
        ({"judge": "someone/model"}, BODY, 404),
        ({"k": 0}, BODY, 422),
        ({"aggregation": "max"}, BODY, 422),
        ({"unknown": 1}, BODY, 422),
        ({"run": "a b"}, BODY, 422),
        ({}, {"problem": "p"}, 422),
        ({}, {**BODY, "solution": "s"}, 422),
        ({}, {**BODY, "more": 1}, 422),
        ({}, [], 422),
    ],
)
def test_a_bad_request_is_refused_in_words(http: TestClient, params: dict[str, Any], body: Any, status: int) -> None:
    answer = http.post("/reward", params={"judge": "scripted", **params}, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


@pytest.mark.usefixtures("workers")
def test_concurrent_callers_share_one_job_and_equal_bodies_one_judging(context: Context) -> None:
    app = create_app(context, ServiceOptions(judges=("scripted",), k=2))

    async def ask() -> list[dict[str, Any]]:
        async with served(app) as client:
            bodies = [{"problem": f"p{n % 40}", "steps": [f"step {n % 40}"]} for n in range(120)]
            answers = await asyncio.gather(*(client.post("/reward", json=body) for body in bodies))
            return [answer.json() for answer in answers]

    rewards = asyncio.run(ask())
    assert all(reward["status"] == "ok" for reward in rewards)
    assert rewards[:40] == rewards[40:80] == rewards[80:]
    (job, progress), *others = recent_jobs(context, 5)
    assert (others, job.n_solutions, progress.ok, progress.critiques) == ([], 40, 40, 80)
    assert [report.findings for report in audit(context, [job.id])] == [()]


def served(app: FastAPI) -> Any:
    """A client of the application within its lifespan."""
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def open_client() -> Any:
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
        ):
            yield client

    return open_client()


def test_a_live_request_is_not_behind_bulk_work(context: Context, workers: Workers, http: TestClient) -> None:
    del workers
    slow = make_solutions(64, steps=1, marks=dict.fromkeys(range(64), "[[scripted:slow:30]]"))
    bulk = take_in(context.database, slow, shard=4).job_id
    wait_for(lambda: job_status(context, bulk).progress.leased >= 4, within=30, what="every slot is busy")
    answer = http.post("/reward", params={**SCRIPTED, "timeout": 20}, json=BODY)
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert job_status(context, bulk).progress.finished == 0
    control.cancel(context, bulk)
