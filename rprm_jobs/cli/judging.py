"""Options of the commands that judge before they answer, and the one way from those options to a finished job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rprm_jobs.cli.common import say

if TYPE_CHECKING:
    from rprm_jobs.formats import Row
    from rprm_jobs.services.context import Context

JobOption = Annotated[int | None, typer.Option("--job", min=1, help="A job that judged these already.")]
SeedOption = Annotated[int, typer.Option(help="Seed of every critique.")]
WorkerOption = Annotated[bool, typer.Option("--worker/--no-worker", help="Start a worker if none serves the judge.")]


@dataclass(frozen=True, slots=True)
class Judging:
    """How to judge, and by which worker if none is there. `threshold` only matters to policies that stop early."""

    judge: str
    k: int
    policy: dict[str, Any]
    threshold: float
    seed: int
    engine: str
    engine_args: tuple[str, ...]
    worker: bool
    until_first_error: bool = False

    def run(self, context: Context, paths: Sequence[str], rows: Sequence[Row] | None = None) -> int:
        """Submit the files (or rows of theirs), or find the job that judged them, and wait for it; returns its id."""
        from rprm_jobs.cli.waiting import WorkerChoice, wait_for
        from rprm_jobs.judge.resolve import resolve_judge
        from rprm_jobs.services.submit import SubmitRequest, make_recipe, submit

        # All K critiques of a step serve every threshold, so the job of another one is found again.
        stops_early = self.policy["kind"] != "fixed" or self.until_first_error
        recipe = make_recipe(
            resolve_judge(self.judge),
            k=self.k,
            policy=self.policy,
            threshold=self.threshold if stops_early else 0.5,
            seed=self.seed,
            until_first_error=self.until_first_error,
        )
        made = submit(context, SubmitRequest(tuple(paths), recipe, rows=rows))
        say(
            f"job {made.job_id}{'' if made.created else ' (found)'}: {made.solutions:,} solutions, {made.steps:,} steps"
        )
        choice = WorkerChoice(self.judge, self.engine, self.engine_args) if self.worker else None
        wait_for(context, made.job_id, choice)
        return made.job_id
