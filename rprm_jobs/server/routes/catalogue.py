"""`/v1/judges`, `/v1/workers` and `/v1/sets`: what there is to judge with, who judges, and what was built."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from rprm_jobs.errors import InputError, NotFound
from rprm_jobs.pairs.rules import PairRules, SetKind
from rprm_jobs.server.documents import described, document
from rprm_jobs.server.scopes import needs
from rprm_jobs.server.state import ContextDependency, service_state
from rprm_jobs.services.access import Scope
from rprm_jobs.services.jobs.query import alive_workers
from rprm_jobs.services.training.sets import BuildRequest, Built, build, delete_set, list_sets
from rprm_jobs.store.records import MAX_ID, WorkerInfo
from rprm_jobs.store.training.sets import TrainingSet

router = APIRouter(prefix="/v1", tags=["catalogue"])
SetName = Annotated[str, Path(min_length=1, max_length=200, description="The set's name.")]


class OfferedJudge(msgspec.Struct, frozen=True):
    """A judge that requests may name, and how many workers serve it now."""

    name: str
    is_default: bool
    workers: int


class JudgeList(msgspec.Struct, frozen=True):
    """The judges, the default one first."""

    judges: list[OfferedJudge]


class WorkerList(msgspec.Struct, frozen=True):
    """The workers with a recent heartbeat."""

    workers: list[WorkerInfo]


class SetList(msgspec.Struct, frozen=True):
    """Training sets, of pairs or of single critiques."""

    sets: list[TrainingSet]


class SetRequest(BaseModel):
    """A set of preference pairs to build from jobs. `rules` are those of `rprm-jobs pairs build`."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=200)]
    jobs: Annotated[list[Annotated[int, Field(ge=1, le=MAX_ID)]], Field(min_length=1, max_length=100)]
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 42
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.05
    rules: dict[str, Any] = {}


@router.get("/judges", responses=described(JudgeList, "The judges."), response_class=Response)
@needs(Scope.READ)
def judges(request: Request, context: ContextDependency) -> Response:
    """List the judges that requests may name."""
    book = service_state(request).judges
    queues = [worker.queue for worker in alive_workers(context)]
    offered = [OfferedJudge(name, name == book.default, queues.count(book.judge(name).queue)) for name in book.names]
    return document(JudgeList(offered))


@router.get("/workers", responses=described(WorkerList, "The workers."), response_class=Response)
@needs(Scope.READ)
def workers(context: ContextDependency) -> Response:
    """List the workers that are alive."""
    return document(WorkerList(alive_workers(context)))


@router.get("/sets", responses=described(SetList, "The sets."), response_class=Response)
@needs(Scope.READ)
def sets(
    context: ContextDependency, kind: Annotated[SetKind, Query(description="pairs or sft.")] = SetKind.PAIRS
) -> Response:
    """List the training sets."""
    return document(SetList(list_sets(context, kind)))


@router.get("/sets/{name}", responses=described(TrainingSet, "The set."), response_class=Response)
@needs(Scope.READ)
def one_set(context: ContextDependency, name: SetName) -> Response:
    """One training set, of either kind."""
    for kind in SetKind:
        for listed in list_sets(context, kind):
            if listed.name == name:
                return document(listed)
    raise NotFound(f"there is no training set {name!r}", hint="list them: GET /v1/sets")


@router.post("/sets", status_code=201, responses=described(Built, "The set.", status=201), response_class=Response)
@needs(Scope.SUBMIT)
def create(context: ContextDependency, body: SetRequest) -> Response:
    """Build a set of preference pairs from the critiques and labels of jobs."""
    rules = _rules(body)
    built = build(context, BuildRequest(body.name, tuple(body.jobs), rules))
    return document(built, status=201 if built.created else 200)


def _rules(body: SetRequest) -> PairRules:
    """Raises InputError for rules that there are not, or of another type, ConfigError for a value that cannot be."""
    common = {"seed": body.seed, "validation": body.validation}
    known = set(PairRules.__struct_fields__) - common.keys()
    if unknown := sorted(body.rules.keys() - known):
        raise InputError(f"there is no rule {unknown[0]!r}", hint=f"known are {', '.join(sorted(known))}")
    try:
        return msgspec.convert({"kind": "pairs", **body.rules, **common}, PairRules)
    except msgspec.ValidationError as error:
        raise InputError(f"the rules cannot be used: {error}", hint="see: rprm-jobs pairs build --help") from error


@router.delete("/sets/{name}", status_code=204)
@needs(Scope.ADMIN)
def delete(context: ContextDependency, name: SetName, kind: Annotated[SetKind, Query()] = SetKind.PAIRS) -> Response:
    """Delete a training set."""
    delete_set(context, name, kind)
    return Response(status_code=204)
