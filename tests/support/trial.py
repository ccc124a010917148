"""A trial: jobs on real workers, some disturbance, and one verdict: the outcome is that of an undisturbed run."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from typing import Any

import msgspec

from rprm_jobs.services.context import Context
from rprm_jobs.types import Solution
from tests.support import jobs, store, zygote
from tests.support.workers import ROOT, WorkerProcess, Workers

# Critiques a second: slow enough to be disturbed in the middle, fast enough for a suite.
PACE = ("--engine-arg", "rate=60")


class Trial:
    """Takes jobs in, starts workers, and holds the outcome against the engine's own answers."""

    def __init__(self, context: Context, workers: Workers, env: Mapping[str, str]) -> None:
        self.context, self.database, self.workers = context, context.database, workers
        self.env = dict(env)
        self._solutions: dict[int, list[Solution]] = {}
        self._recipes: dict[int, Any] = {}

    def take_in(self, n: int = 24, *, shard: int = 6, priority: int = 0, **more: Any) -> int:
        """Store a job of `n` solutions; `more` goes to make_solutions (marks, steps) and make_recipe (k, seed)."""
        recipe = jobs.make_recipe(**{key: more.pop(key) for key in ("k", "seed") if key in more})
        solutions = jobs.make_solutions(n, **more)
        job = jobs.take_in(self.database, solutions, recipe, shard=shard, priority=priority).job_id
        self.remember(job, solutions, recipe)
        return job

    def remember(self, job: int, solutions: list[Solution], recipe: Any) -> None:
        """A job that was submitted in another way."""
        self._solutions[job], self._recipes[job] = solutions, recipe

    def now_of(self, job: int, **changes: Any) -> None:
        """The job's recipe was changed, so another outcome is expected of it."""
        self._recipes[job] = msgspec.structs.replace(self._recipes[job], **changes)

    def start(self, *args: str, ready: bool = True, **more: str) -> WorkerProcess:
        """A worker at a pace that leaves time to disturb it."""
        return self.workers.start(*PACE, *args, ready=ready, **more)

    def recorded(self, job: int) -> int:
        """How many solutions of the job have an outcome."""
        return jobs.progress(self.database, job).solutions

    def wait_recorded(self, job: int, at_least: int = 1, *, within: float = 20.0) -> int:
        """Wait until that many solutions have an outcome."""
        jobs.wait_for(
            lambda: self.recorded(job) >= at_least,
            within=within,
            what=lambda: f"{at_least} recorded: {self.recorded(job)}\n{self.workers.logs()}",
        )
        return self.recorded(job)

    def leases(self) -> list[Any]:
        """All leases that are out."""
        return store.run(self.database, "SELECT id, owner, attempt FROM shards WHERE state = 'leased'")

    def failures(self, job: int) -> int:
        """Failures counted on the job's shards."""
        return sum(row.failures for row in store.shard_rows(self.database, job))

    def wait_done(self, job: int, *, within: float = 40.0) -> None:
        """Wait for the end of the job; the workers' logs are in the message when it does not come."""
        try:
            jobs.wait_done(self.database, job, within=within)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.workers.logs()}") from None

    def check(self, job: int, *, besides: Mapping[str, str] | None = None) -> None:
        """Audit clean, no lease left, and rewards as undisturbed; `besides`: ids with another status, by status."""
        odd = dict(besides or {})
        outcomes = jobs.outcomes(self.database, job)
        assert {id_: o.status for id_, o in outcomes.items() if o.status != "ok"} == odd, self.workers.logs()
        plain = [s for s in self._solutions[job] if s.id not in odd]
        expected = jobs.expected_rewards(plain, self._recipes[job])
        assert {id_: o.rewards for id_, o in outcomes.items() if id_ not in odd} == expected
        assert self.leases() == []
        jobs.assert_clean(self.context)

    def finish(self, job: int, *, within: float = 40.0, besides: Mapping[str, str] | None = None) -> None:
        """Wait for the end of the job and check it."""
        self.wait_done(job, within=within)
        self.check(job, besides=besides)

    def command(self, *args: str, **more: str) -> subprocess.CompletedProcess[str]:
        """The real command line, with the test's servers."""
        return zygote.run("rprm_jobs", args, {**self.env, **more}, ROOT, None, 180)
