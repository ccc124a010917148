"""What one worker process records when its engine costs nothing: `python -m benchmarks.orchestration`.

The scripted engine with no delay, 8 steps, K=10, critiques of 2 KB, all kept. Time runs from the first claim to the
last finished shard as Postgres saw them; database, Redis and worker share the machine.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from typing import Any

from benchmarks import harness
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.query import job_status
from rprm_jobs.services.jobs.submit import make_recipe
from rprm_jobs.services.upkeep.audit import audit
from rprm_jobs.store.jobs.intake import Intake
from rprm_jobs.store.jobs.new_job import NewJob
from rprm_jobs.store.records import JobState
from rprm_jobs.types import KeepCritiques, Solution


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--solutions", type=int, default=2000)
    parser.add_argument("--text-chars", type=int, default=2000)
    args = parser.parse_args()
    before = harness.machine()
    with harness.scratch_database() as url, harness.context(url) as context:
        job_id = submit_made(context, args.solutions)
        worker = _start_worker(url, args.text_chars)
        try:
            result = _watch(context, job_id)
        finally:
            worker.send_signal(signal.SIGTERM)
            _, status, usage = _wait(worker)
        result["worker_cpu_seconds"] = round(usage, 2)
        result["worker_exit"] = status
        result["audit_findings"] = sum(len(job_audit.findings) for job_audit in audit(context, [job_id]))
    harness.report("orchestration", before, result)


def submit_made(context: Context, n: int, *, steps: int = 8, k: int = 10, shard_solutions: int = 32) -> int:
    """Store a job of `n` generated solutions for the scripted judge; returns its id."""
    judge = resolve_judge("scripted")
    texts = tuple(f"Step text {i} " + "y" * 90 for i in range(steps))
    rows = ((0, i + 1, Solution(f"s{i}", f"Problem {i} " + "x" * 300, texts)) for i in range(n))
    with context.database.transaction() as connection:
        intake = Intake(connection)
        intake.load(rows)
        intake.repeated_ids(1)
        intake.seal(NewJob(make_recipe(judge, k=k), 0, KeepCritiques.ALL, ("made",), shard_solutions), dedupe=False)
        return intake.job_id


def _start_worker(url: str, text_chars: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "workers", "--judge", "scripted", "--log-level", "WARNING"]
    command += ["--engine-arg", f"text_chars={text_chars}"]
    return subprocess.Popen(command, env=harness.environment(url))


def _watch(context: Context, job_id: int) -> dict[str, Any]:
    while (status := job_status(context, job_id)).state is not JobState.DONE:
        time.sleep(0.2)
    progress = status.progress
    if progress.started_at is None or progress.finished_at is None:
        raise RuntimeError("a finished job has no times")
    seconds = (progress.finished_at - progress.started_at).total_seconds()
    return {
        "critiques": progress.critiques,
        "seconds": round(seconds, 2),
        "critiques_per_s": round(progress.critiques / seconds),
    }


def _wait(worker: subprocess.Popen[bytes]) -> tuple[int, int, float]:
    pid, status, usage = os.wait4(worker.pid, 0)
    worker.returncode = os.waitstatus_to_exitcode(status)
    return pid, worker.returncode, usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
