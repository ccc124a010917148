"""What `rollout` and `search` share: the policy's options, how such a job is announced, and staying until it ends."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rprm_jobs.cli.shared.common import print_json, say

if TYPE_CHECKING:
    from rprm_jobs.launch.workers import WorkerChoice
    from rprm_jobs.services.context import Context
    from rprm_jobs.services.jobs.submit import Submission

ProblemsArgument = Annotated[
    list[str], typer.Argument(help="Rows of id, problem, maybe answer: JSONL (.gz, .zst), Parquet, a folder, or -.")
]
PolicyOption = Annotated[str, typer.Option("--policy", help="A shipped policy, a model folder, or a hub id.")]
TemperatureOption = Annotated[float | None, typer.Option(help="Sampling temperature [policy's].")]
TopPOption = Annotated[float | None, typer.Option("--top-p", help="Nucleus sampling [policy's].")]
AnswerPatternOption = Annotated[
    str | None, typer.Option("--answer-pattern", help="Finds the final answer: a regex with one group [\\boxed{}].")
]


def announce(made: Submission, what: str) -> None:
    """Say what the job is, on stderr."""
    found = "" if made.created else " (found: the same problems and recipe were submitted before)"
    say(f"job {made.job_id}{found}: {made.solutions:,} {what}")
    if made.refused:
        say(f"  {made.refused:,} bad rows left out: {', '.join(made.refused_files)}")


def conclude(
    context: Context, made: Submission, *, wait: bool, choice: WorkerChoice | None, as_json: bool, then: Any = None
) -> None:
    """Wait when asked to; then print the answer. `then` is the worker's choice for the score job that follows, if any.

    Without `wait` the score job is made by whoever serves the policy, when this job is done, or by this command when it
    is given again.
    """
    from rprm_jobs.services.upkeep.dependents import create_dependents

    result: dict[str, Any] = asdict(made)
    if then is not None:
        create_dependents(context)
    if wait:
        from rprm_jobs.cli.shared.waiting import wait_for

        result.update(wait_for(context, made.job_id, choice))
        if then is not None:
            from rprm_jobs.services.upkeep.dependents import dependent_job_of

            scores = dependent_job_of(context, made.job_id)
            say(f"job {scores} judges the solutions of job {made.job_id}")
            result["scores"] = {"job_id": scores, **wait_for(context, scores, then if choice else None)}
    if as_json:
        print_json(result)
    else:
        print(made.job_id)
