"""Picks the work of a shard by the kind of its job: reads what it needs, and starts it on the engines."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rprm_jobs.engine import Engine, Scorer
from rprm_jobs.errors import ConfigError, Deleted
from rprm_jobs.judge.families.critic import CriticFamily
from rprm_jobs.judge.families.family import Family
from rprm_jobs.judge.families.genprm import GenPrmFamily
from rprm_jobs.judge.families.thinkprm import ThinkPrmFamily
from rprm_jobs.store.jobs import jobs, plans
from rprm_jobs.store.records import Lease, StoredSolution
from rprm_jobs.store.results import judgements, recording, responses
from rprm_jobs.store.session import Database
from rprm_jobs.types import URGENT_PRIORITY, JobKind, KeepCritiques, Response
from workers.tasks import reuse
from workers.tasks.budget import Budget
from workers.tasks.common import Emit
from workers.tasks.critic import CriticJudge
from workers.tasks.genprm import ChatJudge
from workers.tasks.judge import JudgeClass, SolutionJudge, judge_solutions
from workers.tasks.judging import Judging
from workers.tasks.rollout import generation_config_of, write_solutions
from workers.tasks.score import score_solutions
from workers.tasks.search import SearchModels, search_solutions
from workers.tasks.spec import JudgeSpec
from workers.tasks.thinkprm import ThinkJudge

# How the families judge that do not judge as R-PRM does.
_JUDGES: Mapping[type[Family], JudgeClass] = {
    CriticFamily: CriticJudge,
    GenPrmFamily: ChatJudge,
    ThinkPrmFamily: ThinkJudge,
}


@dataclass(frozen=True, slots=True)
class Engines:
    """What this worker has loaded: the model of its queue and, for searches, the policy beside that judge.

    `name` is that of the engine's kind, as in EngineInfo; `judging` has what it judged lately.
    """

    engine: Engine | Scorer
    budget: Budget
    policy: Engine | None
    policy_budget: Budget
    name: str = ""
    judging: Judging = field(default_factory=Judging)


@dataclass(frozen=True, slots=True)
class Task:
    """One shard's work, read from the store."""

    kind: JobKind
    work: JudgeSpec
    keep: KeepCritiques
    solutions: Sequence[StoredSolution]
    partial: Mapping[int, Response]
    reuse: bool = False

    @property
    def urgent(self) -> bool:
        """Whether each outcome is to be recorded as soon as it is there."""
        return self.work.urgent

    def start(self, engines: Engines, emit: Emit, draining: Callable[[], bool]) -> Coroutine[Any, Any, bool]:
        """The work, as a coroutine for the engines' loop. Raises ConfigError when the worker lacks a model for it."""
        if not self.work.recipe.judge_family.writes and not self.kind.writes:
            return score_solutions(engines.engine, engines.budget, self.work.recipe, self.solutions, emit, draining)
        engine = engines.engine
        if self.kind is JobKind.SEARCH:
            return self._search(engine, engines, emit, draining)
        if isinstance(engine, Scorer):
            raise ConfigError("this worker's engine scores and does not write", hint="start a worker for this judge")
        if self.kind is JobKind.ROLLOUT:
            return write_solutions(
                engine, engines.budget, self.work.recipe, self.work.round, self.solutions, emit, draining
            )
        judge_class = _JUDGES.get(type(self.work.recipe.judge_family))
        return judge_solutions(
            engine,
            engines.budget,
            self.work,
            self.solutions,
            emit,
            draining,
            judge_class,
            judging=engines.judging if self.reuse else None,
        )

    def _search(
        self, engine: Engine | Scorer, engines: Engines, emit: Emit, draining: Callable[[], bool]
    ) -> Coroutine[Any, Any, bool]:
        options = generation_config_of(self.work.recipe).search
        if options is None or engines.policy is None:
            raise ConfigError(
                "a search needs a policy beside the judge",
                hint="serve both with one worker: rprm-jobs worker --judge NAME --policy NAME",
            )
        judge_class = _JUDGES.get(type(self.work.recipe.judge_family), SolutionJudge)
        pair = SearchModels(engines.policy, engines.policy_budget, engine, engines.budget, judge_class)
        return search_solutions(pair, self.work, options, self.solutions, self.partial, emit, draining)


def load_task(database: Database, lease: Lease, engine: str = "") -> Task:
    """Read what is left of the shard, for the engine of this name, and what the store knows of it.

    Raises StoreError, NotFound, and ConfigError for a recipe of a newer version.
    """
    try:
        return _load_task(database, lease, engine, look_up=True)
    except Deleted:
        # A job that has some of its judgements is deleted at this moment. Where it is this one, this says so again.
        return _load_task(database, lease, engine, look_up=False)


def _load_task(database: Database, lease: Lease, engine: str, *, look_up: bool) -> Task:
    with database.transaction() as connection:
        job = jobs.get(connection, lease.job_id)
        solutions = recording.load_unfinished(connection, lease)
        partial: Mapping[int, Response] = {}
        if job.kind is JobKind.SEARCH:
            partial = responses.read_partial(connection, job.id, [solution.ord for solution in solutions])
        plan, urgent = plans.latest(connection, job.id), job.priority >= URGENT_PRIORITY
        work = JudgeSpec.of(job.recipe, lease.retry_epoch, plan, urgent=urgent)
        if not job.kind.writes:
            solutions = reuse.with_keys(solutions, job, lease, engine)
            if look_up and job.reuse:
                known = judgements.look_up(connection, reuse.wanted(solutions), job.keep_critiques)
                solutions = reuse.with_known(solutions, known, job.keep_critiques, job.recipe)
    return Task(job.kind, work, job.keep_critiques, solutions, partial, job.reuse)
