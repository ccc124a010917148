"""Many jobs and many workers: `python -m benchmarks.load`, on embedded servers of its own.

`jobs`: 1,000 small jobs beside a large one of another priority, either way round, all there before the workers start.
A kind of job is passed over while it has ready shards and nobody claims one; the longest such time says whether it
starves. `workers`: 64 scripted workers on one Postgres, each at a fixed rate: throughput, sessions seen waiting for a
lock, and how long a claim takes; the benchmark makes claims of its own, five a second, and rolls them back.
"""

from __future__ import annotations

import argparse
import itertools
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks import harness
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.services.context import Context, open_context
from rprm_jobs.services.jobs.query import alive_workers, job_status
from rprm_jobs.services.upkeep.audit import audit
from rprm_jobs.settings import Settings
from rprm_jobs.store.queue import leases
from rprm_jobs.store.records import JobState
from rprm_jobs.store.session import Database
from tests.support import jobs as synthetic
from tests.support.servers import QUICK, subprocess_env
from tests.support.store import run

_SMALL = 10
_WAITING = """SELECT count(*) AS n FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND datname = current_database()"""


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000, help="how many small jobs")
    parser.add_argument("--large", type=int, default=100_000, help="solutions of the large job")
    parser.add_argument("--few", type=int, default=4, help="workers for the jobs")
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--rate", type=float, default=8.0, help="critiques/s of each of the many workers")
    parser.add_argument("--seconds", type=float, default=60.0, help="about how long the many workers judge")
    args = parser.parse_args()
    before = harness.machine()
    results: dict[str, Any] = {"jobs": [], "small_jobs": args.jobs, "large_solutions": args.large}
    for priority in (-1, 1):
        with harness.own_servers() as (settings, _), open_context(settings) as context:
            results["jobs"].append(_many_jobs(context, settings, args, priority))
    with harness.own_servers() as (settings, _), open_context(settings) as context:
        results["workers"] = _many_workers(context, settings, args)
    harness.report("load", before, results)


def _many_jobs(context: Context, settings: Settings, args: argparse.Namespace, priority: int) -> dict[str, Any]:
    """The large job has `priority`, the small ones 0."""
    recipe = synthetic.make_recipe(k=1)
    large = synthetic.take_in(
        context.database, synthetic.make_solutions(args.large, steps=1), recipe, shard=32, priority=priority
    ).job_id
    for number in range(args.jobs):
        synthetic.take_in(context.database, synthetic.make_solutions(_SMALL, steps=1, seed=number), recipe, shard=32)
    with _fleet(context, settings, args.few):
        while run(context.database, "SELECT 1 FROM shards WHERE state <> 'done' LIMIT 1"):
            time.sleep(0.5)
    claims = run(
        context.database,
        "SELECT job_id = :large AS large, extract(epoch FROM claimed_at)::float8 AS claimed,"
        " extract(epoch FROM finished_at)::float8 AS finished FROM shards ORDER BY claimed_at",
        large=large,
    )
    kinds = {name: [row for row in claims if row.large == (name == "large")] for name in ("small", "large")}
    begin = claims[0].claimed
    seconds = max(row.finished for row in claims) - begin
    return {
        "priority_of_large": priority,
        "seconds": round(seconds, 1),
        "solutions_per_s": round((args.large + args.jobs * _SMALL) / seconds),
        "longest_passed_over_s": {name: _longest_gap(begin, rows) for name, rows in kinds.items()},
        "last_done_s": {name: round(max(row.finished for row in rows) - begin, 1) for name, rows in kinds.items()},
        "audit_findings": sum(len(job_audit.findings) for job_audit in audit(context)),
    }


def _longest_gap(begin: float, rows: list[Any]) -> float:
    times = [begin, *(row.claimed for row in rows)]
    return round(max(later - earlier for earlier, later in itertools.pairwise(times)), 2)


def _many_workers(context: Context, settings: Settings, args: argparse.Namespace) -> dict[str, Any]:
    solutions = round(args.workers * args.rate * args.seconds / 4)
    recipe = synthetic.make_recipe(k=2)
    waits, claims = list[int](), list[float]()
    with _fleet(context, settings, args.workers, "--engine-arg", f"rate={args.rate}"):
        job = synthetic.take_in(context.database, synthetic.make_solutions(solutions, steps=2), recipe, shard=4).job_id
        while (status := job_status(context, job)).state is not JobState.DONE:
            waits.append(run(context.database, _WAITING)[0].n)
            claims.append(_probe(context.database))
            time.sleep(0.2)
    progress = status.progress
    if progress.started_at is None or progress.finished_at is None:
        raise RuntimeError("a finished job has no times")
    per_s = progress.critiques / (progress.finished_at - progress.started_at).total_seconds()
    return {
        "workers": args.workers,
        "critiques_per_s": round(per_s, 1),
        "share_of_linear": round(per_s / (args.workers * args.rate), 3),
        "samples": len(waits),
        "sessions_waiting_for_a_lock": {"mean": round(statistics.fmean(waits), 3), "most": max(waits)},
        "claim_ms": {"median": round(1e3 * statistics.median(claims), 1), "longest": round(1e3 * max(claims), 1)},
        "audit_findings": sum(len(job_audit.findings) for job_audit in audit(context)),
    }


class _Undone(Exception):
    pass


def _probe(database: Database) -> float:
    """Seconds that a claim takes just now; it is rolled back."""
    started = time.perf_counter()
    try:
        with database.transaction() as connection:
            queue = resolve_judge("scripted").queue
            leases.claim(connection, queue=queue, owner="probe", engine="probe", lease_s=60)
            raise _Undone
    except _Undone:
        return time.perf_counter() - started


@contextmanager
def _fleet(context: Context, settings: Settings, count: int, *arguments: str) -> Iterator[None]:
    command = [sys.executable, "-m", "workers", "--judge", "scripted", "--log-level", "WARNING", *arguments]
    # With the product's own times: the tests' short leases lapse when a machine is this busy.
    env = {name: value for name, value in subprocess_env(settings).items() if name not in QUICK}
    workers = [subprocess.Popen(command, env=env, start_new_session=True) for _ in range(count)]
    try:
        while len(alive_workers(context)) < count:
            time.sleep(0.2)
        yield
    finally:
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        for worker in workers:
            worker.wait(120)


if __name__ == "__main__":
    main()
