"""How long does a killed worker's work stand still? `python -m benchmarks.recovery`, with the default settings.

One worker holds a whole job, another is idle. The first is killed with SIGKILL; measured is the time until the other
has claimed some of it. `witness`: the process that outlives the worker reports its death. `lock`: that process is
killed too, as when a whole container ends, and the lock of the worker's connection is free. `lease`: neither, as before
there were these two, and as with a machine that loses its power.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
import time
from typing import Any

import psutil
from sqlalchemy import text

from benchmarks import harness
from benchmarks.orchestration import submit_made
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.query import alive_workers
from rprm_jobs.services.upkeep.audit import audit
from rprm_jobs.store.queue import workers

_SHARDS = 4


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", default="witness,lock,lease")
    parser.add_argument("--times", type=int, default=5, help="runs of each kind; of `lease` there is one")
    args = parser.parse_args()
    before = harness.machine()
    results = {}
    for kind in args.kinds.split(","):
        runs = [_run(kind) for _ in range(1 if kind == "lease" else args.times)]
        seconds = [run["seconds"] for run in runs]
        results[kind] = {
            "runs": len(runs),
            "seconds_median": round(statistics.median(seconds), 2),
            "seconds_max": round(max(seconds), 2),
            "audit_findings": sum(run["findings"] for run in runs),
        }
    harness.report("recovery", before, {"seconds_until_another_worker_has_the_work": results})


def _run(kind: str) -> dict[str, Any]:
    with harness.scratch_database() as url, harness.context(url) as context:
        command = [sys.executable, "-m", "workers", "--judge", "scripted", "--log-level", "WARNING"]
        command += ["--engine-arg", "rate=20", "--shards-in-flight", str(_SHARDS)]
        processes = []
        try:
            processes.append(_start(command, url, context))
            # 40 s of work for one worker.
            job_id = submit_made(context, 20 * _SHARDS, steps=4, k=4, shard_solutions=20)
            _wait(context, "count(*) FILTER (WHERE state = 'leased')", _SHARDS)
            processes.append(_start(command, url, context))
            _kill(kind, processes[0], context)
            started = time.monotonic()
            _wait(context, "count(*) FILTER (WHERE attempt > 1)", 1)
            seconds = time.monotonic() - started
            findings = sum(len(job_audit.findings) for job_audit in audit(context, [job_id]))
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
            for process in processes:
                process.wait(60)
    return {"seconds": seconds, "findings": findings}


def _start(command: list[str], url: str, context: Context) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(command, env=harness.environment(url))
    while not any(worker.pid == process.pid for worker in alive_workers(context)):
        time.sleep(0.1)
    # Until it has taken its lock, too.
    time.sleep(3)
    return process


def _kill(kind: str, process: subprocess.Popen[bytes], context: Context) -> None:
    if kind != "witness":
        for child in psutil.Process(process.pid).children():
            child.kill()
    if kind == "lease":
        (worker,) = (worker for worker in alive_workers(context) if worker.pid == process.pid)
        with context.database.transaction() as connection:
            workers.show_lock(connection, worker.id, None)
    process.kill()
    process.wait()


def _wait(context: Context, count: str, goal: int) -> None:
    query = text(f"SELECT {count} FROM shards")
    while True:
        with context.database.transaction() as connection:
            if connection.execute(query).scalar_one() >= goal:
                return
        time.sleep(0.05)


if __name__ == "__main__":
    main()
