"""The Python client by URL, and the reward functions for trainers, against a service on a real socket."""

from __future__ import annotations

import asyncio
import json
import math
import pickle
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs import AsyncClient, Client
from rprm_jobs.client.job import Timeout
from rprm_jobs.errors import ConfigError, Conflict, InputError, NotFound, NotPermitted, ServiceError
from rprm_jobs.rewards.judge import StepJudge
from rprm_jobs.rewards.ms_swift import StepProcessReward
from rprm_jobs.rewards.ms_swift import StepReward as SwiftReward
from rprm_jobs.rewards.trl import StepReward
from rprm_jobs.rewards.verifiers import step_reward
from rprm_jobs.rewards.verl import compute_score
from rprm_jobs.server.state import ServiceOptions
from rprm_jobs.services import access
from rprm_jobs.services.access import Scope
from rprm_jobs.services.context import Context
from rprm_jobs.settings import Settings
from rprm_jobs.store.records import JobState
from tests.support.service import free_port, running_service

pytestmark = [pytest.mark.integration, pytest.mark.acceptance]

ROWS: list[dict[str, Any]] = [
    {"id": f"s{n}", "problem": f"What is {n} + {n}?", "steps": [f"{n} + {n} = {2 * n}.", "Done."], "label": -1, "by": n}
    for n in range(6)
]
UNJUDGEABLE = "a [[scripted:unparsed]]"


@pytest.fixture
def url(context: Context) -> Iterator[str]:
    with running_service(context) as started:
        yield started


@pytest.mark.usefixtures("workers")
def test_a_client_of_a_service_and_one_of_the_store_see_the_same(url: str, settings: Settings, tmp_path: Path) -> None:
    with Client(url) as far, Client(settings) as near:
        job = far.submit(ROWS, judge="scripted", k=2)
        followed = list(job.results(follow=True, steps=True))
        status = job.wait(60)
        assert (status.state, status.progress.ok) == (JobState.DONE, 6)
        same = near.job(job.id)
        assert same.status().job == status.job
        assert followed == list(same.results(follow=True, steps=True)) == list(job.results(steps=True))
        for more in ({}, {"critiques": True, "steps": True}):
            assert list(job.results(**more)) == list(same.results(**more))
        assert job.to_arrow().equals(same.to_arrow())
        assert job.to_pandas().equals(same.to_pandas())
        assert near.submit(ROWS, judge="scripted", k=2).id == job.id
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(f"{row}\n".replace("'", '"') for row in ROWS))
        assert far.submit(path, judge="scripted", k=2).id == job.id
        assert far.submit(ROWS, judge="scripted", k=2, new=True).id != job.id
        assert [one.id for one in far.jobs(5)] == [one.id for one in near.jobs(5)]
        assert job.extend(3).wait(60).progress.critiques == 6 * 2 * 3
        with pytest.raises(Conflict):
            job.cancel()
        judged = far.judge("What is 1 + 1?", ["1 + 1 = 2."], judge="scripted", k=2, timeout=60)
        assert judged == near.judge("What is 1 + 1?", ["1 + 1 = 2."], judge="scripted", k=2, worker=False, timeout=60)
        row = {"problem": "What is 1 + 1?", "solution": "1 + 1 = 2.\n\nDone."}
        rewards = far.rewards([row, {**row, "solution": UNJUDGEABLE}], judge="scripted", k=2, run="r")
        assert rewards == near.rewards([row, {**row, "solution": UNJUDGEABLE}], judge="scripted", k=2, run="r")
        assert (rewards[0].status, rewards[1].reward, rewards[1].status) == ("ok", None, "failed")
        assert far.reward(row["problem"], row["solution"], judge="scripted", k=2, run="r") == rewards[0]


def test_bad_rows_are_left_out_and_families_named_as_in_the_store(
    url: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad: list[Any] = [ROWS[0], {"id": "x"}, 7, ROWS[1], ROWS[0], {**ROWS[2], "steps": "none"}]
    refused: list[list[Any]] = []
    ids = []
    with Client(url) as far, Client(settings) as near:
        for client, name in ((near, "near"), (far, "far")):
            (tmp_path / name).mkdir()
            monkeypatch.chdir(tmp_path / name)
            ids.append(client.submit(bad, judge="scripted", family="rprm", skip_bad=True).id)
            lines = Path("rows.refused.jsonl").read_text().splitlines()
            refused.append([(row["line"], row["reason"]) for row in map(json.loads, lines)])
            with pytest.raises(ConfigError, match="family"):
                client.submit(ROWS, judge="scripted", family="nonsense")
        assert near.job(ids[0]).status().job.n_solutions == 2
    assert ids[0] == ids[1]
    assert refused[0] == refused[1]
    assert [line for line, _ in refused[0]] == [2, 3, 6, 5]


def test_errors_of_a_service_are_those_of_the_store(url: str) -> None:
    with Client(url) as client:
        with pytest.raises(InputError) as error:
            client.submit([ROWS[0], {"id": "x"}, 7], judge="scripted")  # type: ignore[list-item]
        assert [str(line).split(": ")[0] for line in error.value.bad_lines] == ["rows:2", "rows:3"]
        with pytest.raises(InputError, match="bad row") as error:
            client.submit([ROWS[0], ROWS[0]], judge="scripted")
        assert str(error.value.bad_lines[0]).startswith("rows:2: id 's0' is repeated")
        with pytest.raises(NotFound, match="there is no job 9"):
            client.job(9)
        with pytest.raises(NotFound, match="offers no judge"):
            client.submit(ROWS, judge="/etc")
        with pytest.raises(ConfigError):
            client.submit(ROWS, judge="scripted", stopping="none")
        with pytest.raises(InputError):
            client.submit([], judge="scripted")
        job = client.submit(ROWS, judge="scripted")
        with pytest.raises(Timeout, match=r"is queued after 0\.3 s"):
            job.wait(0.3)
        threading.Timer(0.3, job.cancel).start()
        assert job.wait(30).state is JobState.CANCELLED
        job.delete()
        with pytest.raises(NotFound):
            list(job.results())
    for bad in ("ftp://x", "127.0.0.1:8000"):
        with pytest.raises(ConfigError):
            Client(bad)
    with pytest.raises(ServiceError, match="does not answer"), Client(f"http://127.0.0.1:{free_port()}") as nobody:
        nobody.reward("p", "s", timeout=0.5)


def test_a_token_says_what_a_client_may_do(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = {scope: access.create_token(context, scope, scope, days=None, actor="me")[0] for scope in Scope}
    with running_service(context) as url:
        with Client(url) as nobody, pytest.raises(NotPermitted):
            nobody.jobs()
        monkeypatch.setenv("RPRM_TOKEN", tokens[Scope.READ])
        with (
            Client(url) as reader,
            Client(url, token=tokens[Scope.SUBMIT]) as submitter,
            Client(url, token=tokens[Scope.ADMIN]) as admin,
        ):
            assert reader.jobs() == []
            with pytest.raises(NotPermitted, match="scope submit"):
                reader.submit(ROWS, judge="scripted")
            job = submitter.submit(ROWS, judge="scripted")
            job.cancel()
            with pytest.raises(NotPermitted):
                job.delete()
            admin.job(job.id).delete()


@pytest.mark.usefixtures("workers")
def test_the_same_for_asyncio(url: str) -> None:
    async def use() -> list[str]:
        async with AsyncClient(url) as client:
            job = await client.submit(ROWS, judge="scripted", k=1)
            assert (await job.wait(60)).state is JobState.DONE
            reward = await client.reward("p", steps=["a"], judge="scripted", k=1)
            assert reward.status == "ok"
            return [row["id"] async for row in job.results()]

    assert asyncio.run(use()) == [row["id"] for row in ROWS]


@pytest.mark.usefixtures("workers")
def test_a_service_that_restarts_costs_a_reward_only_time(context: Context) -> None:
    options = ServiceOptions(port=free_port())
    rewards: list[Any] = []
    client = Client(options.url)
    asking = threading.Thread(
        target=lambda: rewards.append(client.reward("p", steps=["[[scripted:slow:3]]"], judge="scripted", k=1, run="r"))
    )
    with running_service(context, options):
        asking.start()
        time.sleep(0.5)
    with running_service(context, options):
        asking.join(60)
        assert [reward.status for reward in rewards] == ["ok"]
        assert client.jobs()[0].status().job.n_solutions == 1
        client.close()


TEXT = "1 + 1 = 2.\n\nSo it is 2."
CHAT = [{"role": "user", "content": "What is 1 + 1?"}]


@pytest.mark.usefixtures("workers")
def test_each_trainers_function_gives_the_judges_reward(url: str) -> None:
    with Client(url) as client:
        expected = client.reward("What is 1 + 1?", TEXT, judge="scripted", k=2, run="r")
    options: dict[str, Any] = {"url": url, "judge": "scripted", "k": 2, "options": {"run": "r"}}
    failures: dict[str, float] = {}
    trl = pickle.loads(pickle.dumps(StepReward(**options)))
    prompts = [CHAT, "What is 1 + 1?", CHAT]
    completions = [[{"role": "assistant", "content": TEXT}], TEXT, [{"role": "assistant", "content": UNJUDGEABLE}]]
    values = trl(prompts=prompts, completions=completions, completion_ids=[[1]] * 3, trainer_state=None,
                 log_extra=lambda *_: None, log_metric=failures.__setitem__, answer=["2"] * 3)  # fmt: skip
    assert values == [expected.reward, expected.reward, None]
    assert (failures, trl.__name__) == ({"judge_failed": 1 / 3}, "scripted_min")

    extra = {"problem": "What is 1 + 1?", "index": 3}
    score = asyncio.run(
        compute_score(data_source="d", solution_str=TEXT, ground_truth="2", extra_info=extra, **options)
    )
    assert score["score"] == pytest.approx(expected.reward)
    failed = asyncio.run(compute_score("d", UNJUDGEABLE, "2", extra, unjudgeable=-1.0, **options))
    assert (failed.keys(), failed["score"], failed["judge_failed"]) == (score.keys(), -1.0, True)
    with pytest.raises(InputError, match="cannot be judged"):
        asyncio.run(compute_score("d", UNJUDGEABLE, "2", extra, **options))
    with pytest.raises(InputError, match="no problem"):
        asyncio.run(compute_score("d", TEXT, "2", {}, **options))

    swift = type("Mine", (SwiftReward,), {"options": options})(args=None)
    assert swift([TEXT, UNJUDGEABLE], messages=[CHAT, CHAT], solution=["2", "2"]) == [expected.reward, None]
    process = type("Mine", (StepProcessReward,), {"options": options})()
    request = {"messages": [*CHAT, {"role": "assistant", "content": TEXT}]}
    assert process([request], ["2"]) == [list(expected.step_rewards)]
    with pytest.raises(InputError, match="sample 0 cannot be judged"):
        process([{"messages": [*CHAT, {"role": "assistant", "content": UNJUDGEABLE}]}])

    rubric, state = step_reward(**options), dict[str, Any]()
    assert asyncio.run(rubric(prompt=CHAT, completion=TEXT, state=state)) == expected.reward
    assert state == {}
    assert math.isnan(asyncio.run(rubric(prompt=CHAT, completion=UNJUDGEABLE, state=state)))
    assert "no verdict" in state["judge_error"]


def test_a_judge_that_is_away_is_no_reward() -> None:
    away: dict[str, Any] = {"url": f"http://127.0.0.1:{free_port()}", "timeout": 0.3}
    assert StepReward(**away)(prompts=["p", "q"], completions=["a", "b"]) == [None, None]
    with pytest.raises(ServiceError):
        asyncio.run(compute_score("d", "s", "2", {"question": "q"}, **away))
    with pytest.raises(ServiceError):
        StepJudge(**away).rewards([("p", "a")])
    state: dict[str, Any] = {}
    assert math.isnan(asyncio.run(step_reward(**away)(prompt="p", completion="a", state=state)))
    assert "does not answer" in state["judge_error"]
