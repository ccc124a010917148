"""Judging for commands that need a finished job before they can answer, such as `eval`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rprm_jobs.launch.workers import Say, WorkerChoice
from rprm_jobs.words import counted

if TYPE_CHECKING:
    from rprm_jobs.formats import InputRow
    from rprm_jobs.services.context import Context
    from rprm_jobs.services.jobs.submit import Submission, SubmitRequest

# Waits until a job has ended, and starts the chosen worker if none serves it.
Wait = Callable[["Context", int, WorkerChoice | None], object]


@dataclass(frozen=True, slots=True)
class Judging:
    """How to judge, and which worker to start if none is there. `threshold` matters only to rules that stop early.

    With a `screen`, that judge scores every step first, and `stopping` is the rule of a cascade.
    """

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
    screen: str | None = None
    screen_family: str | None = None

    def run(
        self, context: Context, paths: Sequence[str], rows: Sequence[InputRow] | None = None, *, wait: Wait, say: Say
    ) -> int:
        """Submit the files (or these rows of them) or find the job that judged them, and wait; returns its id."""
        from rprm_jobs.judge.places import model_paths
        from rprm_jobs.judge.resolve import resolve_judge
        from rprm_jobs.services.jobs.submit import SubmitRequest, make_recipe

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
        request = SubmitRequest(tuple(paths), recipe, rows=rows, model_paths=model_paths(judge=judge))
        choice = WorkerChoice(self.judge, self.engine, self.engine_args, family=self.family) if self.worker else None
        job_id = (
            self._submit(context, request, say) if self.screen is None else self._screen(context, request, wait, say)
        )
        wait(context, job_id, choice)
        return job_id

    def _submit(self, context: Context, request: SubmitRequest, say: Say) -> int:
        from rprm_jobs.services.jobs.submit import submit

        submission = submit(context, request)
        say(_in_words(submission))
        return submission.job_id

    def _screen(self, context: Context, request: SubmitRequest, wait: Wait, say: Say) -> int:
        """Have the screen score everything, and return the job that judges behind it."""
        from rprm_jobs.judge.places import model_paths
        from rprm_jobs.judge.resolve import resolve_judge
        from rprm_jobs.services.jobs.submit import make_recipe
        from rprm_jobs.services.upkeep.dependents import dependent_job_of, submit_screened

        screen = resolve_judge(self.screen or "", self.screen_family)
        recipe = make_recipe(screen, k=None, seed=self.seed)
        submission = submit_screened(context, request, recipe, screen_paths=model_paths(judge=screen))
        say(_in_words(submission))
        choice = WorkerChoice(self.screen, "auto", (), family=self.screen_family) if self.worker else None
        wait(context, submission.job_id, choice)
        judged = dependent_job_of(context, submission.job_id)
        say(f"job {judged} judges what job {submission.job_id} has screened")
        return judged


def _in_words(submission: Submission) -> str:
    again = "" if submission.created else " (found)"
    size = f"{counted(submission.solutions, 'solution')}, {counted(submission.steps, 'step')}"
    return f"job {submission.job_id}{again}: {size}"
