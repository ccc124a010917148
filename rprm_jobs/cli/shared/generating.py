"""What `rollout` and `search` share: the policy's options, how such a job is announced, and staying until it ends."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rprm_jobs.cli.shared.command import Rule
from rprm_jobs.cli.shared.common import print_json, say
from rprm_jobs.cli.shared.complete import complete_policy
from rprm_jobs.cli.shared.options import POLICY
from rprm_jobs.cli.shared.outcome import FailOn, check_outcome
from rprm_jobs.cli.shared.submitting import announce_reading, announce_refused
from rprm_jobs.words import counted

if TYPE_CHECKING:
    from rprm_jobs.launch.workers import WorkerChoice
    from rprm_jobs.services.context import Context
    from rprm_jobs.services.jobs.submit import Submission

ProblemsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE",
        help="Rows with id, problem and perhaps answer: JSONL (.gz, .zst), Parquet, a folder, or - for stdin.",
    ),
]
PolicyOption = Annotated[
    str,
    typer.Option(
        "--policy", metavar="POLICY", help="A shipped policy, a model folder, or a hub id.",
        autocompletion=complete_policy,
    ),
]  # fmt: skip
PolicyTemperatureOption = Annotated[
    float | None, typer.Option("--temperature", help="Sampling temperature.", show_default="the policy's own",
                               rich_help_panel=POLICY)
]  # fmt: skip
PolicyTopPOption = Annotated[
    float | None, typer.Option("--top-p", help="Probability mass of nucleus sampling.",
                               show_default="the policy's own", rich_help_panel=POLICY)
]  # fmt: skip
AnswerPatternOption = Annotated[
    str | None,
    typer.Option(
        "--answer-pattern", metavar="REGEX", help="Finds the final answer; has one group.",
        show_default="the last \\boxed{}", rich_help_panel=POLICY,
    ),
]  # fmt: skip
# Only the worker that waiting starts has engines.
NO_WORKER_RULE = Rule(
    ("engine", "engine_arg", "policy_engine", "policy_engine_arg"),
    lambda values: bool(values["worker"]),
    "with --no-worker",
    "leave out --no-worker or {option}",
)


# Greedy decoding draws nothing.
GREEDY_TOP_P_RULE = Rule(
    ("top_p",),
    lambda values: values["temperature"] != 0,
    "with --temperature 0",
    "leave out --temperature 0 or {option}",
)


def announce(submission: Submission, singular: str, plural: str) -> None:
    """Say what the job is, on stderr; what is to be done is named as in "1 solution to write"."""
    known = "" if submission.created else " (found: the same problems and recipe were submitted before)"
    say(f"job {submission.job_id}{known}: {counted(submission.solutions, singular, plural)}")
    announce_reading(submission)
    announce_refused(submission)


def conclude(
    context: Context,
    submission: Submission,
    *,
    wait: bool,
    fail_on: FailOn,
    choice: WorkerChoice | None,
    as_json: bool,
    then: WorkerChoice | None = None,
) -> None:
    """Wait when asked to; then print the answer. `then` is the worker's choice for the dependent score job, if any.

    Without `wait` the score job is made by whoever serves the policy, when this job is done, or by this command when it
    is run again.
    """
    from rprm_jobs.services.upkeep.dependents import create_dependents

    result: dict[str, Any] = asdict(submission)
    if then is not None:
        create_dependents(context)
    if wait:
        from rprm_jobs.cli.shared.waiting import wait_for

        result.update(wait_for(context, submission.job_id, choice))
        if then is not None and result["state"] != "cancelled":
            from rprm_jobs.services.upkeep.dependents import dependent_job_of

            scores = dependent_job_of(context, submission.job_id)
            say(f"job {scores} judges the solutions of job {submission.job_id}")
            result["scores"] = {"job_id": scores, **wait_for(context, scores, then if choice else None)}
    if as_json:
        print_json(result)
    else:
        print(submission.job_id)
    if wait:
        check_outcome(submission.job_id, result, fail_on)
        if then is not None:
            check_outcome(result["scores"]["job_id"], result["scores"], fail_on)
