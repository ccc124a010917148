"""What the shell completes after Tab: ids of jobs and runs, names of judges, policies and sets, ids of workers.

Completion starts no server and says nothing when one does not answer.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rprm_jobs.services.context import Context

_MOST = 50


def _completing(names: Callable[[Context], list[str]]) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        from rprm_jobs.errors import RprmError
        from rprm_jobs.launch.servers import running

        with suppress(RprmError), running() as context:
            return [name for name in names(context) if name.startswith(incomplete)]
        return []

    return complete


def _job_ids(context: Context) -> list[str]:
    from rprm_jobs.services.jobs.query import recent_jobs

    return [str(job.id) for job, _ in recent_jobs(context, _MOST)]


def _worker_ids(context: Context) -> list[str]:
    from rprm_jobs.services.jobs.query import alive_workers

    return [worker.id for worker in alive_workers(context)]


def _run_ids(context: Context) -> list[str]:
    from rprm_jobs.services.training.runs import list_runs

    return [str(run.id) for run in list_runs(context)[:_MOST]]


def _set_names(context: Context) -> list[str]:
    from rprm_jobs.pairs.rules import SetKind
    from rprm_jobs.services.training.sets import list_sets

    return [listed.name for kind in SetKind for listed in list_sets(context, kind)]


complete_job = _completing(_job_ids)
complete_job_or_worker = _completing(lambda context: [*_job_ids(context), *_worker_ids(context)])
complete_run = _completing(_run_ids)
complete_set = _completing(_set_names)


def complete_judge(incomplete: str) -> list[str]:
    """Shipped judges; folders are the shell's own business."""
    from rprm_jobs.judge.resolve import shipped_judges

    return [name for name in shipped_judges() if name.startswith(incomplete)]


def complete_policy(incomplete: str) -> list[str]:
    """Shipped policies."""
    from rprm_jobs.judge.policy import shipped_policies

    return [name for name in shipped_policies() if name.startswith(incomplete)]
