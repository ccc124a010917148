"""From the options of a command that judges before it answers to a finished job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rprm_jobs.launch.workers import Say, WorkerChoice

if TYPE_CHECKING:
    from rprm_jobs.formats import InputRow
    from rprm_jobs.services.context import Context

# Stays with a job until it ends, with a worker of its own choice where nobody serves it.
Wait = Callable[["Context", int, WorkerChoice | None], object]


@dataclass(frozen=True, slots=True)
class Judging:
    """How to judge, and by which worker if none is there. `threshold` matters to rules that stop early."""

    judge: str
    k: int
    stopping: dict[str, Any]
    threshold: float
    seed: int
    engine: str
    engine_args: tuple[str, ...]
    worker: bool
    until_first_error: bool = False

    def run(
        self, context: Context, paths: Sequence[str], rows: Sequence[InputRow] | None = None, *, wait: Wait, say: Say
    ) -> int:
        """Submit the files (or rows of theirs), or find the job that judged them, and wait for it; returns its id."""
        from rprm_jobs.judge.resolve import resolve_judge
        from rprm_jobs.services.jobs.submit import SubmitRequest, make_recipe, submit

        # All K critiques of a step serve every threshold, so the job of another one is found again.
        stops_early = self.stopping["kind"] != "fixed" or self.until_first_error
        recipe = make_recipe(
            resolve_judge(self.judge),
            k=self.k,
            stopping=self.stopping,
            threshold=self.threshold if stops_early else 0.5,
            seed=self.seed,
            until_first_error=self.until_first_error,
        )
        made = submit(context, SubmitRequest(tuple(paths), recipe, rows=rows))
        say(
            f"job {made.job_id}{'' if made.created else ' (found)'}: {made.solutions:,} solutions, {made.steps:,} steps"
        )
        choice = WorkerChoice(self.judge, self.engine, self.engine_args) if self.worker else None
        wait(context, made.job_id, choice)
        return made.job_id
