"""Does throughput grow with the workers? `python -m benchmarks.workers`: 1, 2, 4, 8 processes, one store.

Each worker runs the scripted engine at a fixed rate of critiques a second, as a GPU with a 7B judge would have (8
critiques/s of 600 tokens is 4,800 tokens/s), with critiques of 2 KB kept. Linear is the number of workers times that
rate; what is missing is what queue, claims and recording cost.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from typing import Any

from benchmarks import harness
from benchmarks.orchestration import submit_made
from rprm_jobs.services.jobs.query import alive_workers, job_status
from rprm_jobs.services.upkeep.audit import audit
from rprm_jobs.store.records import JobState


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", default="1,2,4,8")
    parser.add_argument("--rate", type=float, default=8.0, help="critiques/s of one worker")
    parser.add_argument("--seconds", type=float, default=40.0, help="about how long each run lasts")
    args = parser.parse_args()
    before = harness.machine()
    runs = [_run(int(count), args.rate, args.seconds) for count in args.workers.split(",")]
    harness.report("workers", before, {"rate_of_one": args.rate, "runs": runs})


def _run(count: int, rate: float, seconds: float) -> dict[str, Any]:
    with harness.scratch_database() as url, harness.context(url) as context:
        command = [sys.executable, "-m", "workers", "--judge", "scripted", "--log-level", "WARNING"]
        command += ["--engine-arg", f"rate={rate}", "--engine-arg", "text_chars=2000", "--critiques-in-flight", "64"]
        workers = [subprocess.Popen(command, env=harness.environment(url)) for _ in range(count)]
        try:
            while len(alive_workers(context)) < count:
                time.sleep(0.1)
            # 2 solutions x 4 steps x K=4 a shard: small shards, so that the last ones end together.
            solutions = max(2, round(count * rate * seconds / 16))
            job_id = submit_made(context, solutions, steps=4, k=4, shard_solutions=2)
            while (status := job_status(context, job_id)).state is not JobState.DONE:
                time.sleep(0.2)
            findings = sum(len(job_audit.findings) for job_audit in audit(context, [job_id]))
        finally:
            for worker in workers:
                worker.send_signal(signal.SIGTERM)
            for worker in workers:
                worker.wait(60)
    progress = status.progress
    if progress.started_at is None or progress.finished_at is None:
        raise RuntimeError("a finished job has no times")
    took = (progress.finished_at - progress.started_at).total_seconds()
    per_second = progress.critiques / took
    return {
        "workers": count,
        "critiques": progress.critiques,
        "seconds": round(took, 2),
        "critiques_per_s": round(per_second, 2),
        "share_of_linear": round(per_second / (count * rate), 3),
        "audit_findings": findings,
    }


if __name__ == "__main__":
    main()
