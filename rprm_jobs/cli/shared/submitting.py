"""What `submit` and `sample` share: the rules of their options, how a job is announced, and staying until it ends."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rprm_jobs.cli.shared.command import Rule, needs
from rprm_jobs.cli.shared.common import human_bytes, print_json, say
from rprm_jobs.cli.shared.outcome import FailOn, check_outcome
from rprm_jobs.words import counted

if TYPE_CHECKING:
    from rprm_jobs.judge.recipe import Recipe
    from rprm_jobs.launch.workers import WorkerChoice
    from rprm_jobs.services.context import Context
    from rprm_jobs.services.jobs.submit import Submission

# Only the worker that waiting starts has an engine.
NO_WORKER_RULE = Rule(
    ("engine", "engine_arg"),
    lambda values: bool(values["worker"]),
    "with --no-worker",
    "leave out --no-worker or {option}",
)
# Greedy decoding draws nothing.
GREEDY_RULE = Rule(
    ("top_p", "seed"),
    lambda values: values["temperature"] != 0,
    "with --temperature 0",
    "leave out --temperature 0 or {option}",
)
WAIT_RULES = (needs("wait", "fail_on", "worker", "engine", "engine_arg"), NO_WORKER_RULE)


def keeps_its_name(context: Context, submission: Submission, name: str | None) -> bool:
    """Whether the job was found, and is not called `name` as was asked."""
    from rprm_jobs.services.jobs.query import job_status

    if name is None or submission.created:
        return False
    return job_status(context, submission.job_id).job.name != name.strip()


def announce(submission: Submission, recipe: Recipe, *, keeps_name: bool = False) -> None:
    """Say what the job is and what it takes, on stderr."""
    known = "" if submission.created else " (found: the same solutions and recipe were submitted before)"
    size = f"{counted(submission.solutions, 'solution')}, {counted(submission.steps, 'step')}"
    say(f"job {submission.job_id}{known}: {size}")
    if keeps_name:
        say("  --name has no effect on a job that is found, which keeps its own; --new makes another job")
    critiques = f"at most {counted(submission.critiques, 'critique')} ({recipe.k} {recipe.judge_family.unit.each})"
    taken = critiques if recipe.judge_family.writes else "one pass a solution, a score for each step"
    say(f"  {taken}, about {human_bytes(submission.bytes)} in the database")
    announce_reading(submission)
    announce_refused(submission)


def announce_proposal(submission: Submission, recipe: Recipe) -> None:
    """Say what would cost less, where that is known."""
    from rprm_jobs.stopping.recommended import propose

    if not submission.created or recipe.family is not None:
        return
    for proposal in propose(recipe.stopping, recipe.k, submission.steps, recipe.threshold):
        low, high = proposal.score_change
        say(
            f"  {proposal.options} would take about {proposal.fraction:.0%} of the critiques; on PRMBench it moved the"
            f" score by {low:+.2f} to {high:+.2f}"
        )


def announce_reading(submission: Submission) -> None:
    """Say as what the input was read."""
    for line in submission.read_as:
        say(f"  {line}")


def announce_refused(submission: Submission) -> None:
    """Say how many rows --skip-bad left out, and where they are."""
    if submission.refused:
        say(f"  {counted(submission.refused, 'bad row')} left out: {', '.join(submission.refused_files)}")


def conclude_screened(
    context: Context,
    submission: Submission,
    *,
    wait: bool,
    fail_on: FailOn,
    screen: WorkerChoice | None,
    worker: WorkerChoice | None,
    as_json: bool,
) -> None:
    """As `conclude`, for a job that screens: the job that judges after it is created when it is done.

    Without `wait` that is done by whoever serves the screen, or by this command when it is given again.
    """
    from rprm_jobs.services.upkeep.dependents import create_dependents, dependent_job_of

    result: dict[str, Any] = asdict(submission)
    create_dependents(context)
    if wait:
        from rprm_jobs.cli.shared.waiting import wait_for

        result.update(wait_for(context, submission.job_id, screen))
        if result["state"] != "cancelled":
            judged = dependent_job_of(context, submission.job_id)
            say(f"job {judged} judges what job {submission.job_id} has screened")
            result["judged"] = {"job_id": judged, **wait_for(context, judged, worker)}
    if as_json:
        print_json(result)
    else:
        print(result.get("judged", result)["job_id"])
    if wait:
        check_outcome(submission.job_id, result, fail_on)
        if "judged" in result:
            check_outcome(result["judged"]["job_id"], result["judged"], fail_on)


def conclude(
    context: Context,
    submission: Submission,
    *,
    wait: bool,
    fail_on: FailOn,
    worker: WorkerChoice | None,
    as_json: bool,
    more: dict[str, Any] | None = None,
) -> None:
    """Wait when asked to, with the chosen worker where none serves; then print the answer.

    Raises what `check_outcome` does.
    """
    result: dict[str, Any] = {**asdict(submission), **(more or {})}
    if wait:
        from rprm_jobs.cli.shared.waiting import wait_for

        result.update(wait_for(context, submission.job_id, worker))
    if as_json:
        print_json(result)
    else:
        print(submission.job_id)
    if wait:
        check_outcome(submission.job_id, result, fail_on)
