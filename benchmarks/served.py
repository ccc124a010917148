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
from rprm_jobs.services.upkeep.dependents import dependent_job_of, submit_screened
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

    def run_job(
        self, rows: Path, k: int | None, *, reuse: bool = True, screen: str | None = None, **options: Any
    ) -> dict[str, Any]:
        """Submit, wait to the end, and say what it took: seconds from before the submission to the last record.

        `options` are those of `make_recipe`. A `screen` judges first, by a worker that serves it.
        """
        recipe = make_recipe(resolve_judge(self.judge), k=k, **options)
        cpu, started = _cpu_seconds(self.pid), time.time()
        request = SubmitRequest((str(rows),), recipe, ReadOptions(), new=True, reuse=reuse)
        if screen is None:
            job_id = submit(self.context, request).job_id
        else:
            screening = submit_screened(self.context, request, make_recipe(resolve_judge(screen), k=None)).job_id
            self._done(screening)
            job_id = dependent_job_of(self.context, screening)
        progress = self._done(job_id).progress
        if progress.finished_at is None:
            raise RuntimeError("a finished job has no end")
        # Both clocks are this machine's: the database runs here.
        seconds = progress.finished_at.timestamp() - started
        return {
            "job": job_id,
            "steps": progress.steps,
            "critiques": progress.critiques,
            "seconds": round(seconds, 2),
            "tokens": progress.tokens,
            "tokens_per_s": round(progress.tokens / seconds),
            "failed": progress.failed,
            "audit_findings": sum(len(job_audit.findings) for job_audit in audit(self.context, [job_id])),
            "worker_cpu_seconds": round(_cpu_seconds(self.pid) - cpu, 2),
        }

    def _done(self, job_id: int) -> Any:
        while (status := job_status(self.context, job_id)).state is not JobState.DONE:
            time.sleep(0.1)
        return status


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


@contextmanager
def screening(context: Context, url: str, screen: str) -> Iterator[None]:
    """A second worker beside the one that is served, of a judge that screens."""
    command = [sys.executable, "-m", "workers", "--judge", screen, "--log-level", "WARNING"]
    worker = subprocess.Popen(command, env=harness.environment(url))
    try:
        wait_for_worker(context, worker, among=2)
        yield
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(90)


def wait_for_worker(context: Context, worker: subprocess.Popen[bytes], among: int = 1) -> None:
    """Until it has signed on, as one of so many. RuntimeError when it exits instead."""
    while len(alive_workers(context)) < among:
        if worker.poll() is not None:
            raise RuntimeError(f"the worker exited with {worker.returncode}")
        time.sleep(0.2)


def _cpu_seconds(pid: int) -> float:
    """CPU seconds of the worker process itself; the engine's core is a process of its own."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)
