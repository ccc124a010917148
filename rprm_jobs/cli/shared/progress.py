"""How a job's status looks: as lines for `status`. `live` redraws them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from rprm_jobs.cli.shared.common import human_time
from rprm_jobs.cli.shared.tables import has_bars
from rprm_jobs.launch.workers import worker_family
from rprm_jobs.services.jobs.query import JobStatus
from rprm_jobs.store.records import JobState
from rprm_jobs.types import JobKind
from rprm_jobs.words import counted

if TYPE_CHECKING:
    from rprm_jobs.store.records import Job

_SHOWN_WORKERS = 8


def status_json(status: JobStatus) -> dict[str, Any]:
    """The status as plain JSON types."""
    job, counts, outcomes = status.job, status.progress, status.outcomes
    rates = status.rates
    return {
        "job_id": job.id,
        "state": status.state.value,
        "kind": job.kind.value,
        "name": job.name,
        "judge": job.judge,
        "judge_digest": job.recipe.fingerprint,
        "judge_path": job.model_paths.get("judge"),
        "k": job.recipe.k,
        "policy": job.recipe.stopping["kind"],
        "until_first_error": job.recipe.until_first_error,
        "priority": job.priority,
        "solutions": job.n_solutions,
        "steps": job.n_steps,
        "done": {
            "solutions": outcomes.solutions,
            "ok": outcomes.ok,
            "failed": outcomes.failed,
            "quarantined": outcomes.quarantined,
            "steps": outcomes.steps,
            "critiques": counts.critiques,
            "tokens": counts.tokens,
            "critiques_reused": counts.critiques_reused,
            "tokens_reused": counts.tokens_reused,
        },
        "extension": _extension_json(status),
        "shards": {"all": counts.shards, "ready": counts.ready, "leased": counts.leased, "finished": counts.finished},
        "rates": None
        if rates is None
        else {"steps_per_s": rates.steps, "critiques_per_s": rates.critiques, "tokens_per_s": rates.tokens},
        "eta_s": rates.eta_s if rates else None,
        "prefix_hit_rate": status.prefix_hit_rate,
        "workers": [
            {
                "id": w.id,
                "engine": w.engine,
                "host": w.host,
                "pid": w.pid,
                "slots": w.slots,
                "log": w.log,
                "silent_s": round(w.silent_s, 1),
                "trouble": w.trouble and w.trouble.what,
                "trouble_since": w.trouble and w.trouble.since.isoformat(),
            }
            for w in status.workers
        ],
        "last_sweep_at": status.last_sweep_at.isoformat() if status.last_sweep_at else None,
        "unserved": status.unserved,
        "forced_verdicts": status.forced_verdicts,
        "last_error": counts.last_error,
        "created_at": job.created_at.isoformat(),
        "started_at": counts.started_at.isoformat() if counts.started_at else None,
        "finished_at": counts.finished_at.isoformat()
        if counts.finished_at and counts.finished == counts.shards
        else None,
    }


def status_lines(status: JobStatus, *, coming: bool = False) -> list[str]:
    """The status for a person. `coming`: the waiting command starts a worker itself, so no hint is needed."""
    job, counts, outcomes = status.job, status.progress, status.outcomes
    kind = "" if job.kind is JobKind.SCORE else f" ({job.kind.value})"
    name = "" if job.name is None else f" {job.name!r}"
    done = outcomes.solutions / job.n_solutions
    full, empty = ("█", "░") if has_bars() else ("#", ".")
    bar = full * round(done * 30)
    lines = [
        f"job {job.id}{name}{kind}  {status.state.value}  {_models(job)}, priority {job.priority}",
        f"  {bar:{empty}<30} {done:.1%}  {outcomes.solutions:,} of {counted(job.n_solutions, 'solution')}",
        f"  ok {outcomes.ok:,}  failed {outcomes.failed:,}  quarantined {outcomes.quarantined:,}",
        *_extension_lines(status),
        *_forced_lines(status),
        f"  {speed(status)}",
        *_times(status),
    ]
    if counts.critiques_reused:
        saved = f"{counts.tokens_reused:,} tokens saved"
        lines.append(f"  reused {counts.critiques_reused:,} of {counted(counts.critiques, 'critique')}, {saved}")
    if status.prefix_hit_rate is not None:
        lines.append(f"  prefix cache hit rate {status.prefix_hit_rate:.0%}")
    for worker in status.workers[:_SHOWN_WORKERS]:
        lines.append(f"  worker {worker.id}: {worker.engine}, {counted(worker.slots, 'shard')}")
        lines += [f"    log {worker.log}"] if worker.log else []
    if len(status.workers) > _SHOWN_WORKERS:
        lines.append(f"  and {counted(len(status.workers) - _SHOWN_WORKERS, 'more worker')}")
    lines += _troubles(status)
    if status.unserved and coming:
        lines.append("  a worker is on its way")
    elif status.unserved:
        lines.append(f"  no worker serves this job; start one: {worker_command(job)}")
    if counts.last_error:
        first_line, *_ = counts.last_error.split("\n")
        lines.append(f"  last error: {first_line}")
    return lines


def _times(status: JobStatus) -> list[str]:
    """When the job began, and how long it has run or ran."""
    counts = status.progress
    if counts.started_at is None:
        return []
    ended = counts.finished_at if counts.finished == counts.shards else None
    seconds = ((ended or counts.now) - counts.started_at).total_seconds()
    began = f"  started {counts.started_at:%Y-%m-%d %H:%M:%S} UTC"
    return [f"{began}, {'took' if ended else 'running for'} {human_time(max(0.0, seconds))}"]


def _forced_lines(status: JobStatus) -> list[str]:
    if status.forced_verdicts is None:
        return []
    return [f"  {status.forced_verdicts:,} of {status.progress.critiques:,} verdicts were forced"]


def _troubles(status: JobStatus) -> list[str]:
    """What the job's workers cannot do at the moment, each once; and the last sweep, which work waits for that died."""
    lines = {
        w.trouble.what: f"  since {w.trouble.since:%H:%M:%S %Z}: {w.trouble.what}" for w in status.workers if w.trouble
    }
    if status.last_sweep_at is not None and status.state in (JobState.QUEUED, JobState.RUNNING):
        ago = (status.progress.now - status.last_sweep_at).total_seconds()
        return [*lines.values(), f"  last sweep {human_time(max(0.0, ago))} ago"]
    return list(lines.values())


def _extension_json(status: JobStatus) -> dict[str, Any] | None:
    extension, counts = status.extension, status.progress
    if extension is None:
        return None
    return {
        "k": status.job.recipe.k,
        "previous_k": extension.previous_k,
        "waiting_shards": counts.waiting,
        "done": {
            "solutions": counts.solutions,
            "ok": counts.ok,
            "failed": counts.failed,
            "quarantined": counts.quarantined,
            "steps": counts.steps,
            "critiques": counts.critiques - extension.had.critiques,
            "tokens": counts.tokens - extension.had.tokens,
        },
    }


def _extension_lines(status: JobStatus) -> list[str]:
    extension, counts, job = status.extension, status.progress, status.job
    if extension is None:
        return []
    if extension.previous_k == job.recipe.k:
        return [
            f"  the cancellation of an extension is under way; if it was killed, say again: rprm-jobs cancel {job.id}"
        ]
    lines = [
        f"  extension from {extension.previous_k} to {counted(job.recipe.k, 'critique')} a step: {counts.solutions:,}"
        f" of {counted(job.n_solutions, 'solution')}  ok {counts.ok:,}  failed {counts.failed:,}"
    ]
    if counts.waiting:
        again = f"rprm-jobs extend {job.id} -k {job.recipe.k}"
        lines.append(
            f"  not queued yet: {counted(counts.waiting, 'shard')}; if the command was killed, say again: {again}"
        )
    return lines


def _models(job: Job) -> str:
    from rprm_jobs.judge.places import unique_name

    generation_config = job.recipe.generation_config
    model = unique_name(job.judge, job.recipe.fingerprint, job.model_paths)
    policy = ""
    if generation_config is not None:
        policy = unique_name(generation_config.policy, generation_config.fingerprint, job.model_paths, "policy")
    if job.kind is JobKind.ROLLOUT or generation_config is None:
        return f"policy {policy}" if generation_config is not None else f"judge {model}, {_critiques(job)}"
    search = generation_config.search
    candidates = "" if search is None else f", {counted(search.candidates, 'candidate')}"
    return f"policy {policy}{candidates}, judge {model}, {_critiques(job)}"


def _critiques(job: Job) -> str:
    rule = str(job.recipe.stopping["kind"])
    until = " up to the first error" if job.recipe.until_first_error else ""
    family = job.recipe.judge_family
    if not family.writes:
        return "a score for each step"
    if rule == "fixed":
        return f"{counted(job.recipe.k, 'critique')} {family.unit.each}{until}"
    return f"at most {counted(job.recipe.k, 'critique')} {family.unit.each} ({rule}){until}"


def worker_command(job: Job) -> str:
    """The command that starts a worker for a job. A job of an older version knows only the last name of a folder."""
    from rprm_jobs.judge.policy import shipped_policies
    from rprm_jobs.judge.resolve import ENDPOINT, shipped_judges

    def named(model: str, where: str, role: str) -> str:
        if role in job.model_paths:
            return shlex.quote(job.model_paths[role])
        if model.startswith(ENDPOINT):
            return f"{model} {where}http://HOST:PORT/v1"
        known = model in shipped_judges() or model in shipped_policies() or "/" in model
        return model if known else f"FOLDER/{model}"

    generation_config = job.recipe.generation_config
    policy = (
        ""
        if generation_config is None
        else f" --policy {named(generation_config.policy, '--policy-engine-arg base_url=', 'policy')}"
    )
    judge = "" if job.kind is JobKind.ROLLOUT else f" --judge {named(job.judge, '--base-url ', 'judge')}"
    family = worker_family(job)
    return f"rprm-jobs worker{judge}{'' if family is None else f' --family {family}'}{policy}"


def speed(status: JobStatus) -> str:
    """Rates and the time left, in one line."""
    rates = status.rates
    if rates is None:
        return "not started"
    if status.job.kind.writes:
        return _writing_speed(status, rates.tokens)
    left = "" if rates.eta_s is None else f", {human_time(rates.eta_s)} left" if rates.eta_s else ""
    return f"{rates.steps:,.1f} steps/s, {rates.critiques:,.0f} critiques/s, {rates.tokens:,.0f} tokens/s{left}"


def _writing_speed(status: JobStatus, tokens: float) -> str:
    """Rates of a job that writes solutions, whose steps are not known before: by whole solutions."""
    counts = status.progress
    end = counts.finished_at if counts.finished == counts.shards and counts.finished_at else counts.now
    seconds = (end - counts.started_at).total_seconds() if counts.started_at else 0.0
    rate = counts.solutions / seconds if seconds > 0 else 0.0
    remaining = status.job.n_solutions - counts.solutions
    left = f", {human_time(remaining / rate)} left" if rate and remaining else ""
    return f"{rate:,.2f} solutions/s, {tokens:,.0f} tokens/s{left}"
