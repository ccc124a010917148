"""What the engine benchmarks share: solutions of the tiny judge's world, a vLLM worker of it, and a timed job."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks import harness
from rprm_jobs.formats import ReadOptions
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.query import alive_workers, job_status
from rprm_jobs.services.jobs.submit import SubmitRequest, make_recipe, submit
from rprm_jobs.services.upkeep.audit import audit
from rprm_jobs.store.records import JobState

# Standard output is for the one JSON object.
QUIET = {"VLLM_LOGGING_LEVEL": "WARNING", "VLLM_LOGGING_STREAM": "ext://sys.stderr"}


def made_rows(count: int) -> list[dict[str, Any]]:
    """Solutions of the tiny judge's world, never used in its training."""
    from training.splits import as_row, draw_split

    return [as_row("benchmark", number, solution) for number, solution in enumerate(draw_split("benchmark", count))]


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write JSON lines; returns the path."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@dataclass(frozen=True)
class Served:
    """A worker that has the judge loaded, and the services that submit to it."""

    context: Context
    pid: int
    judge: str = "tiny"

    def run_job(self, rows: Path, k: int | None, *, reuse: bool = True, **options: Any) -> dict[str, Any]:
        """Submit, wait to the end, and say what it took: seconds from before the submission to the last record.

        `options` are those of `make_recipe`.
        """
        recipe = make_recipe(resolve_judge(self.judge), k=k, **options)
        cpu, started = _cpu_seconds(self.pid), time.time()
        request = SubmitRequest((str(rows),), recipe, ReadOptions(), new=True, reuse=reuse)
        submitted = submit(self.context, request)
        while (status := job_status(self.context, submitted.job_id)).state is not JobState.DONE:
            time.sleep(0.1)
        progress = status.progress
        if progress.finished_at is None:
            raise RuntimeError("a finished job has no end")
        # Both clocks are this machine's: the database runs here.
        seconds = progress.finished_at.timestamp() - started
        return {
            "job": submitted.job_id,
            "steps": progress.steps,
            "critiques": progress.critiques,
            "seconds": round(seconds, 2),
            "tokens": progress.tokens,
            "tokens_per_s": round(progress.tokens / seconds),
            "failed": progress.failed,
            "audit_findings": sum(len(job_audit.findings) for job_audit in audit(self.context, [submitted.job_id])),
            "worker_cpu_seconds": round(_cpu_seconds(self.pid) - cpu, 2),
        }


@contextmanager
def serving(folder: Path, *args: str, judge: str = "tiny", **settings: str) -> Iterator[Served]:
    """A vLLM worker of the judge on a scratch database, loaded and warm; `settings` are of its environment."""
    with harness.scratch_database() as url, harness.context(url, settings) as context:
        command = [sys.executable, "-m", "workers", "--judge", judge, "--engine", "vllm", "--log-level", "WARNING"]
        worker = subprocess.Popen([*command, *args], env=harness.environment(url, settings))
        try:
            wait_for_worker(context, worker)
            served = Served(context, worker.pid, judge)
            warm = 2 if resolve_judge(judge).family.samples else None
            served.run_job(write_rows(folder / "warm.jsonl", made_rows(2)), warm)
            yield served
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait(90)


def wait_for_worker(context: Context, worker: subprocess.Popen[bytes]) -> None:
    """Until it has signed on. RuntimeError when it exits instead."""
    while not alive_workers(context):
        if worker.poll() is not None:
            raise RuntimeError(f"the worker exited with {worker.returncode}")
        time.sleep(0.2)


def _cpu_seconds(pid: int) -> float:
    """CPU seconds of the worker process itself; the engine's core is a process of its own."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)
