"""`/reward`, and the same for each trainer in its own words.

The judge's outage is 503 with Retry-After: what was sent is judged all the same, and sent again it costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Annotated, Any, TypeVar, cast

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.requests import ClientDisconnect

from rprm_jobs.errors import ServiceError
from rprm_jobs.server.documents import described, document, echoed
from rprm_jobs.server.problems import RETRY_AFTER_S
from rprm_jobs.server.rewards.aggregates import AggregateRequest, aggregate
from rprm_jobs.server.rewards.judging import RewardOptions, RewardService, SlimeOptions
from rprm_jobs.server.rewards.trainers import (
    NemoGymRequest,
    OpenRlhfRequest,
    SlimeRequest,
    nemo_gym_failure,
    nemo_gym_reply,
    openrlhf_reply,
)
from rprm_jobs.server.scopes import Logged, needs
from rprm_jobs.services.access import Scope
from rprm_jobs.services.jobs.rewards import Reward

T = TypeVar("T")
router = APIRouter(prefix="/reward", tags=["rewards"])
Options = Annotated[RewardOptions, Query()]
# Each trainer gives up by itself after so long (OpenRLHF 180 s, slime 120 s); it must hear from us before.
_OPENRLHF_S, _SLIME_S, _NEMO_GYM_S = 170.0, 110.0, 300.0


class RewardRequest(BaseModel):
    """A problem, and a solution as a list of steps or as a text that is cut into steps."""

    model_config = ConfigDict(extra="forbid")

    problem: Annotated[str, Field(description="The problem's text.")]
    steps: Annotated[list[str] | None, Field(description="The steps of the solution.")] = None
    solution: Annotated[str | None, Field(description="The solution's text, in place of steps.")] = None

    @model_validator(mode="after")
    def _one_of_two(self) -> RewardRequest:
        if (self.steps is None) == (self.solution is None):
            raise ValueError("give either steps or solution")
        return self


def _service(request: Request) -> RewardService:
    return cast("RewardService", request.app.state.rewards)


async def _unless_gone(request: Request, waiting: Coroutine[Any, Any, T]) -> T:
    """The result; nobody is waited for in vain. What was asked is judged all the same. Raises ClientDisconnect."""
    answer, leaving = asyncio.ensure_future(waiting), asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((answer, leaving), return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        raise ClientDisconnect
    finally:
        answer.cancel()
        leaving.cancel()


async def _disconnected(request: Request) -> None:
    # The body is read: what comes now is that the client has left.
    while (await request.receive())["type"] != "http.disconnect":
        pass


@router.post("", responses=described(Reward, "The reward, or why there is none."), response_class=Response)
@needs(Scope.SUBMIT, Logged.FIRST)
async def reward(request: Request, body: RewardRequest, options: Options) -> Response:
    """Judge one solution, before the queue's other work, and wait for its reward."""
    judged = _service(request).judge(lambda: body.model_dump(exclude_none=True), options)
    return document(await _unless_gone(request, judged))


@router.post("/openrlhf")
@router.post("/openrlhf/get_reward", include_in_schema=False)
@needs(Scope.SUBMIT, Logged.FIRST)
async def openrlhf(request: Request, body: OpenRlhfRequest, options: Options) -> dict[str, Any]:
    """OpenRLHF's `--reward.remote_url`: one reward for each query; null for one that cannot be judged."""
    service = _service(request)
    rows = [partial(body.row, index) for index in range(len(body.query))]

    async def judge_all() -> list[Reward]:
        return list(await asyncio.gather(*(service.judge(row, options, timeout_s=_OPENRLHF_S) for row in rows)))

    return openrlhf_reply(await _unless_gone(request, judge_all()))


@router.post("/slime")
@needs(Scope.SUBMIT, Logged.FIRST)
async def slime(request: Request, body: SlimeRequest, options: Annotated[SlimeOptions, Query()]) -> Response:
    """slime's `--rm-url`: the reply is the reward, null for a solution that cannot be judged."""
    outcome = await _unless_gone(request, _service(request).judge(body.row, options, timeout_s=_SLIME_S))
    return document(outcome if options.detail else outcome.reward)


@router.post("/nemo-gym/verify")
@needs(Scope.SUBMIT, Logged.FIRST)
async def verify(request: Request, body: NemoGymRequest, options: Options) -> Response:
    """NeMo-Gym's `/verify`: the body with its reward; a row of class `judge_failed` where there is none."""
    sent = body.model_dump()
    try:
        outcome = await _unless_gone(request, _service(request).judge(body.row, options, timeout_s=_NEMO_GYM_S))
    except ServiceError as outage:
        # Its client does not retry an HTTP error; a failed row it judges again on resume.
        failure = nemo_gym_failure(sent, outage.what, terminal=False)
        return echoed(failure, headers={"Retry-After": str(RETRY_AFTER_S)})
    return echoed(nemo_gym_reply(sent, outcome))


@router.post("/nemo-gym/aggregate_metrics")
@needs(Scope.SUBMIT, Logged.FIRST)
def aggregate_metrics(body: AggregateRequest) -> Response:
    """NeMo-Gym's `/aggregate_metrics`: statistics of verified rows, without those that have no reward."""
    return echoed(aggregate(body.verify_responses))


@router.post("/nemo-gym/seed_session")
@needs(Scope.SUBMIT, Logged.FIRST)
async def seed_session() -> dict[str, Any]:
    """NeMo-Gym's `/seed_session`: there is nothing to seed."""
    return {}
