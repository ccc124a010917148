"""What a shard's work is, by the kind of its job: what is read for it, and what runs on the engines."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rprm_jobs.engine import Engine
from rprm_jobs.errors import ConfigError
from rprm_jobs.store import jobs, plans, responses, results
from rprm_jobs.store.records import Lease, StoredSolution
from rprm_jobs.store.session import Database
from rprm_jobs.types import JobKind, KeepCritiques, Response
from workers.budget import Budget
from workers.judging import Work, judge_solutions
from workers.searching import Pair, search_solutions
from workers.together import Emit
from workers.writing import write_solutions, writing_of


@dataclass(frozen=True, slots=True)
class Engines:
    """What this worker has loaded: the model of its queue, and for searches the policy beside that judge."""

    engine: Engine
    budget: Budget
    policy: Engine | None
    policy_budget: Budget


@dataclass(frozen=True, slots=True)
class Craft:
    """One shard's work, read from the store. `plan` is the version of the plan that critiques are sampled by."""

    kind: JobKind
    work: Work
    keep: KeepCritiques
    solutions: Sequence[StoredSolution]
    begun: Mapping[int, Response]

    @property
    def plan(self) -> int | None:
        """The version of the plan in the policy, if there is one."""
        return self.work.plan

    def start(self, engines: Engines, emit: Emit, draining: Callable[[], bool]) -> Coroutine[Any, Any, bool]:
        """The work itself, for the engines' loop. Raises ConfigError when the worker lacks a model for it."""
        if self.kind is JobKind.ROLLOUT:
            return write_solutions(
                engines.engine, engines.budget, self.work.recipe, self.work.round, self.solutions, emit, draining
            )
        if self.kind is JobKind.SEARCH:
            return self._search(engines, emit, draining)
        return judge_solutions(engines.engine, engines.budget, self.work, self.solutions, emit, draining)

    def _search(self, engines: Engines, emit: Emit, draining: Callable[[], bool]) -> Coroutine[Any, Any, bool]:
        options = writing_of(self.work.recipe).search
        if options is None or engines.policy is None:
            raise ConfigError(
                "a search needs a policy beside the judge", mend="start: rprm-jobs worker --judge J --policy P"
            )
        pair = Pair(engines.policy, engines.policy_budget, engines.engine, engines.budget)
        return search_solutions(pair, self.work, options, self.solutions, self.begun, emit, draining)


def load_craft(database: Database, lease: Lease) -> Craft:
    """Read what is left of the shard. Raises StoreError, NotFound, and ConfigError for a recipe of a newer version."""
    with database.transaction() as connection:
        job = jobs.get(connection, lease.job_id)
        solutions = results.load_unfinished(connection, lease)
        begun: Mapping[int, Response] = {}
        if job.kind is JobKind.SEARCH:
            begun = responses.read_begun(connection, job.id, [solution.ord for solution in solutions])
        work = Work.of(job.recipe, lease.round, plans.latest(connection, job.id))
        return Craft(job.kind, work, job.keep_critiques, solutions, begun)
