"""The storm: `python -m benchmarks.storm`, two jobs under faults drawn at random, on servers of its own. Seeded.

Two workers judge with the scripted engine, and two ask a server over HTTP. Meanwhile workers are killed, stopped and
asked to leave, Postgres, Redis and the judge's server crash and freeze, links break, fall silent and lose answers, the
disk fills, privileges are revoked, the pooler restarts, the sweeper meets rubbish, notifications come three times, and
jobs are cancelled and submitted again. Some rollouts kill their worker or their engine, some are refused, and some are
answered oddly, always. At the end nothing may be lost, doubled or changed.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.storm_faults import Faults, Fleet
from benchmarks.storm_jobs import StormJob, scripted_job, served_job
from benchmarks.storm_server_faults import JudgeServer
from benchmarks.storm_store import StoreFaults, small_disk
from rprm_jobs.errors import StoreError
from rprm_jobs.services.context import Context, open_context
from rprm_jobs.services.upkeep.audit import audit
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.records import JobState
from rprm_jobs.store.session import Database
from tests.support import jobs as synthetic
from tests.support.pooler import PgBouncer, find_pgbouncer
from tests.support.proxy import Proxy
from tests.support.roles import create_roles, url_as
from tests.support.servers import quick, subprocess_env
from tests.support.store import run

_WORKERS = 2


class Watch:
    """How the jobs go: the longest time without an outcome of either, and what the workers' engines have generated."""

    def __init__(self, database: Database, jobs: Sequence[int]) -> None:
        self._database, self._jobs = database, jobs
        self._last, self._since = 0, time.monotonic()
        self.longest_stall = 0.0
        self.generated: dict[str, int] = {}
        self.done = False

    def look(self) -> None:
        """Once; a Postgres that is away is a stall like any other."""
        try:
            with self._database.transaction() as connection:
                seen = [(jobs.progress(connection, job), jobs.get(connection, job)) for job in self._jobs]
            for row in run(self._database, "SELECT id, generated_tokens FROM workers"):
                self.generated[row.id] = max(self.generated.get(row.id, 0), row.generated_tokens)
        except StoreError:
            return
        now = time.monotonic()
        self.done = all(progress.state(job) is JobState.DONE for progress, job in seen)
        solutions = sum(progress.solutions for progress, _ in seen)
        if solutions > self._last:
            self._last, self._since = solutions, now
        self.longest_stall = max(self.longest_stall, now - self._since)


def main() -> None:
    """Parse, storm, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--solutions", type=int, default=20_000, help="of both jobs together")
    parser.add_argument("--faults", type=int, default=300, help="at least so many")
    parser.add_argument("--poison", type=int, default=3, help="rollouts of each bad kind")
    parser.add_argument("--rate", type=float, default=40.0, help="critiques/s of each worker")
    parser.add_argument("--every", type=float, default=2.0, help="mean seconds between faults")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    before = harness.machine()
    results = storm(args.solutions, args.faults, args.poison, args.rate, args.every, args.seed)
    harness.report("storm", before, results)
    sys.exit(0 if results["lost"] == results["doubled"] == results["changed_rewards"] == 0 and results["clean"] else 1)


def storm(
    solutions: int, faults: int, poison: int, rate: float, every: float, seed: int, *, first: Sequence[str] = ()
) -> dict[str, Any]:
    """Run it on embedded servers in a folder of their own, removed afterwards. `first`: faults to begin with."""
    with small_disk() as disk, harness.own_servers() as (settings, folder), open_context(quick(settings)) as context:
        rng = random.Random(seed)
        server = JudgeServer(folder, rng)
        try:
            half = solutions // 2
            storm_jobs = [
                scripted_job(solutions - half, poison, seed, rate),
                served_job(half, poison, seed, rate, server.url),
            ]
            return _Storm(context, folder, disk, storm_jobs, server, rng).run(faults, every, list(first))
        finally:
            server.stop()


class _Storm:
    def __init__(
        self,
        context: Context,
        folder: Path,
        disk: Path | None,
        storm_jobs: Sequence[StormJob],
        server: JudgeServer,
        rng: random.Random,
    ) -> None:
        self._context, self._jobs, self._rng = context, storm_jobs, rng
        settings = context.settings
        role = create_roles(context.database, "storm")["rprm_worker"]
        direct_url = url_as(settings.database_url or "", role)
        program = find_pgbouncer()
        # The pooler runs as another user, who may not enter the folder of the server's socket.
        reachable_url = Proxy.before(direct_url)[1]
        self._pooler = PgBouncer(program, folder / "pooler", reachable_url, pool_size=20) if program else None
        pooled_url = direct_url if self._pooler is None else self._pooler.url
        proxies, urls = {}, {}
        for name, url in (("postgres", pooled_url), ("redis", settings.redis_url)):
            proxies[name], urls[name] = Proxy.before(url or "")
        env = subprocess_env(replace(settings, database_url=urls["postgres"], redis_url=urls["redis"]))
        env["RPRM_DATABASE_DIRECT_URL"] = direct_url
        self._fleet = Fleet([job.worker for job in storm_jobs] * _WORKERS, env, folder / "workers.log")
        self._store = StoreFaults(settings, context.database, role, disk, self._pooler)
        self._faults = Faults(
            settings, context.database, self._fleet, proxies, self._side_job, self._store, server, self._rng
        )
        self._side: list[int] = []

    def run(self, faults: int, every: float, first: list[str]) -> dict[str, Any]:
        started = time.monotonic()
        ids = [job.take_in(self._context.database) for job in self._jobs]
        self._store.watch(ids)
        watch, struck = Watch(self._context.database, ids), Counter[str]()
        due = started
        while not self._over(watch, struck, faults):
            self._fleet.tend()
            watch.look()
            if time.monotonic() >= due and not watch.done:
                struck[self._strike(first.pop(0) if first else None)] += 1
                due = time.monotonic() + self._rng.expovariate(1.0 / every)
            time.sleep(0.1)
        seconds = time.monotonic() - started
        exits = Counter(self._fleet.stop())
        if self._pooler is not None:
            self._pooler.stop()
        return {
            "solutions": sum(len(job.solutions) for job in self._jobs),
            "workers": _WORKERS * len(self._jobs),
            "disk": "tmpfs" if self._store.has_disk else "trigger",
            "pooler": self._pooler is not None,
            "seconds": round(seconds, 1),
            "faults": struck.total(),
            "faults_by_kind": dict(struck.most_common()),
            "exits": {str(status): count for status, count in sorted((exits + Counter(self._fleet.exits)).items())},
            "longest_stall_s": round(watch.longest_stall, 1),
            **self._compare(watch),
        }

    def _over(self, watch: Watch, struck: Counter[str], faults: int) -> bool:
        # The side jobs too, while there are workers to finish them: a late fault may have submitted one just now.
        if not watch.done or not self._sides_ended():
            return False
        if struck.total() < faults:
            print(f"the jobs ended after {struck.total()} faults: give them more --solutions", file=sys.stderr)
        return True

    def _strike(self, name: str | None) -> str:
        try:
            return self._faults.strike(name)
        except StoreError as error:
            return f"(not struck: {type(error).__name__})"

    def _side_job(self) -> None:
        """A small job that is cancelled while it runs, and submitted again."""
        solutions = synthetic.make_solutions(10, seed=len(self._side), prefix=f"side{len(self._side)}-")
        for cancels in (True, False):
            taken = synthetic.take_in(
                self._context.database, solutions, self._jobs[0].recipe, shard=2, priority=1, dedupe=True
            )
            job = taken.job_id
            self._side.append(job)
            if cancels:
                time.sleep(0.3)
                with self._context.database.transaction() as connection:
                    state = jobs.progress(connection, job).state(jobs.get(connection, job))
                    if state is not JobState.DONE:
                        jobs.cancel(connection, job)

    def _compare(self, watch: Watch) -> dict[str, Any]:
        """Outcomes against those of an undisturbed run, the audit, and what was generated in vain."""
        database = self._context.database
        compared = {job.recipe.judge: job.compare(database) for job in self._jobs}
        kept = sum(
            run(database, f"SELECT coalesce(sum(tokens), 0)::bigint AS n FROM verdicts_j{job.id}")[0].n
            for job in self._jobs
        )
        generated = sum(watch.generated.values())
        findings = [finding for job_audit in audit(self._context) for finding in job_audit.findings]
        return {
            **{
                name: sum(counts[name] for counts in compared.values())
                for name in ("lost", "doubled", "changed_rewards")
            },
            "statuses": {judge: counts["statuses"] for judge, counts in compared.items()},
            "marked": {job.recipe.judge: dict(Counter(job.marked.values())) for job in self._jobs},
            "repeated_work": round(max(0, generated - kept) / max(1, kept), 4),
            "clean": not findings,
            "findings": [f"{finding.check}: {finding.count}" for finding in findings],
        }

    def _sides_ended(self) -> bool:
        try:
            states = [synthetic.state(self._context.database, job) for job in self._side]
        except StoreError:
            return False
        return all(state in (JobState.DONE, JobState.CANCELLED) for state in states)


if __name__ == "__main__":
    main()
