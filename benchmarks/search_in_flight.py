"""What searching for many problems at once is worth: `python -m benchmarks.search_in_flight`, problems an hour.

The same greedy searches, with 64 problems in flight on one worker and with one at a time, as research code has it
(shards of one problem; one slot). One worker, the tiny policy and judge, eight candidates a step.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.served import QUIET, wait_for_worker, write_rows
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.query import job_status
from rprm_jobs.store.records import JobState
from training.splits import as_problem, draw_split


def main() -> None:
    """Parse, search in both ways, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policy", default="tiny-policy")
    parser.add_argument("--judge", default="tiny")
    parser.add_argument("--at-once", type=int, default=64)
    parser.add_argument("--one-by-one", type=int, default=12, help="problems of the slow way")
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--engine", default="vllm")
    args = parser.parse_args()
    before = harness.machine()
    many = _way(args, args.at_once, slots=args.at_once)
    one_by_one = _way(args, args.one_by_one, slots=1)
    ratio = round(many["problems_per_hour"] / one_by_one["problems_per_hour"], 2)
    harness.report("search_in_flight", before, {"k": args.k, "at_once": many, "one_by_one": one_by_one, "ratio": ratio})


def _way(args: argparse.Namespace, problems: int, *, slots: int) -> dict[str, Any]:
    settings = {"RPRM_SHARD_SOLUTIONS": "1", **QUIET}
    rows = [as_problem("problems", n, chain) for n, chain in enumerate(draw_split("problems", problems))]
    models = ["--policy", args.policy, "--judge", args.judge]
    with tempfile.TemporaryDirectory() as folder, harness.scratch_database() as url:
        environment = harness.environment(url, settings)
        command = [sys.executable, "-m", "workers", *models, "--engine", args.engine, "--policy-engine", args.engine]
        command += ["--shards-in-flight", str(slots), "--log-level", "WARNING"]
        worker = subprocess.Popen(command, env=environment)
        try:
            with harness.context(url, settings) as context:
                wait_for_worker(context, worker)
                for name, some in (("warm", rows[:2]), ("timed", rows)):
                    file = write_rows(Path(folder) / f"{name}.jsonl", some)
                    done = _search(context, environment, [str(file), *models, "-k", str(args.k)])
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait(90)
    return {"problems": problems, **done}


def _search(context: Context, environment: dict[str, str], asked: list[str]) -> dict[str, Any]:
    """Search to the end; what it took, from the first claim to the last record."""
    command = [sys.executable, "-m", "rprm_jobs", "search", *asked, "--new", "--json"]
    searched = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    job = int(json.loads(searched.stdout)["job_id"])
    while (status := job_status(context, job)).state is not JobState.DONE:
        time.sleep(0.1)
    done = status.progress
    if done.finished_at is None or done.started_at is None:
        raise RuntimeError("a finished job has no beginning or end")
    seconds = (done.finished_at - done.started_at).total_seconds()
    return {
        "failed": done.failed,
        "seconds": round(seconds, 2),
        "tokens": done.tokens,
        "problems_per_hour": round(3600 * done.solutions / seconds, 1),
    }


if __name__ == "__main__":
    main()
