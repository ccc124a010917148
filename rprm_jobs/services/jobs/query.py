"""Questions about jobs: how far they are, how fast they go, and who serves them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from rprm_jobs.errors import JobCancelled, NotFinished
from rprm_jobs.services.context import Context
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.jobs.jobs import JobFilter
from rprm_jobs.store.queue import attempts, workers
from rprm_jobs.store.records import MAX_ID, Extension, FailedAttempt, Job, JobState, Progress, WorkerInfo
from rprm_jobs.store.results.export import count_forced


@dataclass(frozen=True, slots=True)
class Throughput:
    """Work a second. `eta_s` is the time left in seconds at this rate, None while nothing is known."""

    steps: float
    critiques: float
    tokens: float
    eta_s: float | None


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job, its progress at one moment, and the live workers that have its judge loaded.

    While an extension runs, `progress` is the extension's and `outcomes` are what the job had before, which stands.
    """

    job: Job
    progress: Progress
    state: JobState
    rates: Throughput | None
    workers: tuple[WorkerInfo, ...]
    last_sweep_at: datetime | None = None
    # Verdicts that the judge was made to give (`--force-verdict`); None where it gave them all by itself.
    forced_verdicts: int | None = None

    def with_rates(self, rates: Throughput) -> JobStatus:
        """The same status with other rates, such as those of the last seconds."""
        return replace(self, rates=rates)

    @property
    def extension(self) -> Extension | None:
        """The job's extension if it is running."""
        return self.progress.extension(self.job)

    @property
    def outcomes(self) -> Progress:
        """The progress of the job itself, whether or not it is being extended."""
        return self.progress.outcomes(self.job)

    @property
    def unserved(self) -> bool:
        """Whether work is left and no live worker has the judge."""
        return self.state in (JobState.QUEUED, JobState.RUNNING) and not self.workers

    @property
    def prefix_hit_rate(self) -> float | None:
        """Mean prefix-cache hit rate of the workers whose engine reports one, by prompt tokens; in [0, 1]."""
        rates = [(w.prompt_tokens, w.prefix_hit_rate) for w in self.workers if w.prefix_hit_rate is not None]
        total = sum(tokens for tokens, _ in rates)
        return sum(tokens * rate for tokens, rate in rates) / total if total else None


@dataclass(frozen=True, slots=True)
class JobSummary:
    """A job in a list; `progress` is that of the job itself, whether or not it is being extended."""

    job: Job
    progress: Progress
    state: JobState


def refuse_unjudged(status: JobStatus) -> None:
    """Raises NotFinished, or JobCancelled, for a job of which nothing is judged."""
    job_id = status.job.id
    if status.outcomes.solutions:
        return
    if status.state is JobState.CANCELLED:
        raise JobCancelled(f"job {job_id} was cancelled before anything was judged", hint="submit its files again")
    raise NotFinished(
        f"job {job_id} has judged no solution yet", hint=f"wait for it: rprm-jobs status {job_id} --watch"
    )


def job_status(context: Context, job_id: int, *, since: Progress | None = None) -> JobStatus:
    """The job now. Rates are those since the progress `since`, by default since the first claim. Raises NotFound."""
    with context.database.transaction() as connection:
        job = jobs.get(connection, job_id)
        progress = jobs.progress(connection, job_id)
        serving = tuple(workers.alive(connection, job.queue))
        last_sweep_at = workers.last_sweep(connection)
        forced = count_forced(connection, job_id) if job.recipe.force_verdict else None
    rates = rates_between(job, progress, since)
    return JobStatus(job, progress, progress.state(job), rates, serving, last_sweep_at, forced)


def rates_between(job: Job, now: Progress, since: Progress | None) -> Throughput | None:
    """Work a second from `since` (default: the first claim, of an extension its own) to `now`; None before any."""
    if now.started_at is None:
        return None
    extension = now.extension(job)
    before = since or (None if extension is None else extension.had)
    start: datetime = since.now if since else now.started_at
    end = now.finished_at if now.finished == now.shards and now.finished_at else now.now
    seconds = (end - start).total_seconds()
    if seconds <= 0:
        return None
    steps = (now.steps - (since.steps if since else 0)) / seconds
    left = _steps_left(job, now)
    return Throughput(
        steps=steps,
        critiques=(now.critiques - (before.critiques if before else 0)) / seconds,
        tokens=(now.tokens - (before.tokens if before else 0)) / seconds,
        eta_s=left / steps if steps > 0 and left > 0 else (0.0 if left <= 0 else None),
    )


def _steps_left(job: Job, now: Progress) -> float:
    if not job.recipe.until_first_error:
        return job.n_steps - now.steps
    # How many steps will be judged is not known before; the solutions so far tell.
    left = job.n_solutions - now.solutions
    return left * now.steps / now.solutions if now.solutions else job.n_steps


def failed_attempts(context: Context, job_id: int) -> list[FailedAttempt]:
    """Every attempt at a shard of the job that failed, oldest first. Raises NotFound."""
    with context.database.transaction() as connection:
        jobs.get(connection, job_id)
        return attempts.read(connection, job_id)


def recent_jobs(context: Context, limit: int, wanted: JobFilter | None = None) -> list[tuple[Job, Progress]]:
    """The newest jobs first that are `wanted` (default: all), each with the progress of the job itself."""
    with context.database.transaction() as connection:
        return [(job, progress.outcomes(job)) for job, progress in jobs.list_recent(connection, limit, wanted)]


@dataclass(frozen=True, slots=True)
class BusyWorker:
    """A worker, and how many shards of which jobs it works on."""

    worker: WorkerInfo
    shards_by_job: Mapping[int, int]


def busy_workers(context: Context) -> list[BusyWorker]:
    """Every worker with a recent heartbeat, and what it does."""
    with context.database.transaction() as connection:
        alive = workers.alive(connection)
        held = workers.held_shards(connection, [worker.id for worker in alive])
    return [BusyWorker(worker, held.get(worker.id, {})) for worker in alive]


def list_jobs(context: Context, limit: int, *, before: int | None = None) -> list[JobSummary]:
    """A page of jobs, newest first; only those with a lower id than `before`."""
    with context.database.transaction() as connection:
        page = jobs.list_recent(connection, limit, before=before or MAX_ID)
    return [JobSummary(job, progress.outcomes(job), progress.state(job)) for job, progress in page]


def alive_workers(context: Context) -> list[WorkerInfo]:
    """Every worker with a recent heartbeat."""
    with context.database.transaction() as connection:
        return workers.alive(connection)
