"""Judging for commands that need a finished job before they can answer, such as `eval`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rprm_jobs.launch.workers import Say, WorkerChoice

if TYPE_CHECKING:
    from rprm_jobs.formats import InputRow
    from rprm_jobs.services.context import Context

# Waits until a job has ended, and starts the chosen worker if none serves it.
Wait = Callable[["Context", int, WorkerChoice | None], object]


@dataclass(frozen=True, slots=True)
class Judging:
    """How to judge, and which worker to start if none is there. `threshold` matters only to rules that stop early."""

    judge: str
    k: int | None
    stopping: dict[str, Any]
    threshold: float | None
    seed: int
    engine: str
    engine_args: tuple[str, ...]
    worker: bool
    until_first_error: bool = False
    prompt: Path | None = None
    system_prompt: str | None = None
    family: str | None = None

    def run(
        self, context: Context, paths: Sequence[str], rows: Sequence[InputRow] | None = None, *, wait: Wait, say: Say
    ) -> int:
        """Submit the files (or these rows of them) or find the job that judged them, and wait; returns its id."""
        from rprm_jobs.judge.places import model_paths
        from rprm_jobs.judge.resolve import resolve_judge
        from rprm_jobs.services.jobs.submit import SubmitRequest, make_recipe, submit

        # Without early stopping a job serves every threshold, so a job with another threshold is found again.
        stops_early = self.stopping["kind"] != "fixed" or self.until_first_error
        judge = resolve_judge(self.judge, self.family)
        recipe = make_recipe(
            judge,
            k=self.k,
            stopping=self.stopping,
            threshold=self.threshold if stops_early else None,
            seed=self.seed,
            until_first_error=self.until_first_error,
            template=judge.asked_with(self.prompt, self.system_prompt),
        )
        submission = submit(
            context, SubmitRequest(tuple(paths), recipe, rows=rows, model_paths=model_paths(judge=judge))
        )
        say(
            f"job {submission.job_id}{'' if submission.created else ' (found)'}: {submission.solutions:,} solutions,"
            f" {submission.steps:,} steps"
        )
        choice = WorkerChoice(self.judge, self.engine, self.engine_args, family=self.family) if self.worker else None
        wait(context, submission.job_id, choice)
        return submission.job_id
