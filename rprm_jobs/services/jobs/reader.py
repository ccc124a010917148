"""A job as a person reads it: pages of its solutions, one solution with its critiques, and why solutions failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rprm_jobs.errors import NotFound
from rprm_jobs.services.context import Context
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.records import Job
from rprm_jobs.store.results import export, pages, responses
from rprm_jobs.store.results.export import Outcome
from rprm_jobs.store.results.pages import FailureReason, ReaderPage, Show
from rprm_jobs.store.texts import unpack_texts
from rprm_jobs.types import Response

__all__ = ["CritiqueText", "ReadSolution", "ReaderPage", "Show", "StepText", "failure_reasons", "read_page"]


@dataclass(frozen=True, slots=True)
class CritiqueText:
    """One critique; `text` is None where the job kept none."""

    k: int
    verdict: str
    p_yes: float | None
    text: str | None


@dataclass(frozen=True, slots=True)
class StepText:
    """One step with its critiques. `reward` is None where it was not judged, or no critique has a verdict.

    `label`: 1 correct, 0 neutral, -1 wrong, None where it is not known.
    """

    text: str
    reward: float | None
    label: int | None
    critiques: tuple[CritiqueText, ...]


@dataclass(frozen=True, slots=True)
class ReadSolution:
    """One solution; `response` is what a policy wrote, if the job writes."""

    job: Job
    outcome: Outcome
    steps: tuple[StepText, ...]
    response: Response | None


def read_page(
    context: Context, job_id: int, *, show: Show, search: str, after: int, limit: int = 50
) -> tuple[Job, ReaderPage]:
    """The job, and the next solutions that fit, in the order of judging. Raises NotFound."""
    with context.database.transaction() as connection:
        job = jobs.get(connection, job_id)
    return job, pages.read_page(context.database, job, show=show, search=search, after=after, limit=limit)


def read_solution(context: Context, job_id: int, ord_: int) -> ReadSolution:
    """The solution at this place in the order of judging, with all that is stored of it. Raises NotFound."""
    with context.database.transaction() as connection:
        job = jobs.get(connection, job_id)
    outcomes = export.read_some(context.database, job, [ord_], with_texts=True, with_steps=True)
    if not outcomes:
        raise NotFound(f"job {job_id} has no solution {ord_}", hint=f"its solutions are 0 to {job.n_solutions - 1}")
    outcome = outcomes[0]
    with context.database.transaction() as connection:
        verdicts = export.read_verdicts(connection, job_id, [ord_])
        written = responses.read_partial(connection, job_id, [ord_]) if job.kind.writes else {}
    response = written.get(ord_)
    return ReadSolution(job, outcome, _steps(outcome, verdicts, response), response)


def _steps(
    outcome: Outcome, verdicts: Sequence[tuple[int, int, int, str, float | None]], response: Response | None
) -> tuple[StepText, ...]:
    texts = [] if outcome.texts is None else unpack_texts(outcome.texts)
    by_step: dict[int, list[CritiqueText]] = {}
    for _, step, k, verdict, p_yes in verdicts:
        group, kept = by_step.setdefault(step, []), texts[step] if step < len(texts) else None
        group.append(CritiqueText(k, verdict, p_yes, kept[len(group)] if kept and len(group) < len(kept) else None))
    steps = response.steps if response is not None else tuple(outcome.steps or ())
    rewards = (response.rewards if response is not None else outcome.rewards) or ()
    labels = outcome.step_labels or _labels(outcome.label, len(steps))
    return tuple(
        StepText(
            text,
            rewards[number] if number < len(rewards) else None,
            labels[number] if number < len(labels) else None,
            tuple(by_step.get(number, ())),
        )
        for number, text in enumerate(steps)
    )


def _labels(first_error: int | None, count: int) -> list[int | None]:
    """What a first error says of each step: nothing of those after it."""
    if first_error is None:
        return []
    if first_error == -1:
        return [1] * count
    return [1] * first_error + [-1] + [None] * (count - first_error - 1)


@dataclass(frozen=True, slots=True)
class Overview:
    """What a sample of a job's judged solutions looks like. `bins` count rewards of steps in ten equal parts of [0, 1].

    `labelled` solutions have a label, and of `agreed` ones the first error is the labelled one.
    """

    solutions: int
    with_error: int
    bins: tuple[int, ...]
    labelled: int
    agreed: int


def overview(context: Context, job: Job, most: int = 2000) -> Overview | None:
    """Of at most so many solutions; None before any is judged."""
    with context.database.transaction() as connection:
        sampled = pages.sampled_outcomes(connection, job, most)
    rewards = [reward for steps, _, _ in sampled for reward in steps if reward is not None]
    if not rewards:
        return None
    counts = Counter(min(9, int(10 * reward)) for reward in rewards)
    labelled = [(first, label) for _, first, label in sampled if label is not None]
    return Overview(
        len(sampled),
        sum(first is not None and first >= 0 for _, first, _ in sampled),
        tuple(counts[n] for n in range(10)),
        len(labelled),
        sum(first == label for first, label in labelled),
    )


def failure_reasons(context: Context, job_id: int) -> list[FailureReason]:
    """The most frequent reasons why solutions of the job have no reward. Raises NotFound."""
    with context.database.transaction() as connection:
        jobs.get(connection, job_id)
        return pages.failure_reasons(connection, job_id)
