"""Jobs side by side: the solutions that all of them judged, what each says of them, and those on which they differ."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rprm_jobs.aggregation import first_error
from rprm_jobs.errors import ConfigError, InputError
from rprm_jobs.evaluation.comparison import Calls, Comparison, JudgedAlike, accuracy_by_position
from rprm_jobs.evaluation.curves import LabelledVotes
from rprm_jobs.evaluation.metrics import NO_ERROR
from rprm_jobs.evaluation.processbench_answers import NO_REWARD, Answer, answer_of_status
from rprm_jobs.services.context import Context
from rprm_jobs.services.evaluation.report import ShownStep, shown_steps
from rprm_jobs.services.jobs.query import JobStatus, job_status
from rprm_jobs.store.records import Job
from rprm_jobs.store.results.shared import JobOutcome, SharedSolution, read_shared
from rprm_jobs.types import ItemStatus

_NOT_JUDGED = "not judged yet"


@dataclass(slots=True)
class Overlap:
    """Solutions of one job beside the shared ones: `other_content` have a shared id and another problem or steps."""

    solutions: int
    shared: int = 0
    other_content: int = 0

    @property
    def not_shared(self) -> int:
        """Its solutions that some other job lacks."""
        return self.solutions - self.shared


@dataclass(frozen=True, slots=True)
class Side:
    """What one job says of a shown solution; `steps` hold its critiques."""

    status: str
    reason: str | None
    first_error: int | None
    steps: tuple[ShownStep, ...]


@dataclass(frozen=True, slots=True)
class Differing:
    """A solution on which the judges differ, one `side` a job. `label` is its first wrong step, None where unknown."""

    id: str
    label: int | None
    problem: str
    steps: tuple[str, ...]
    sides: tuple[Side, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """All that is printed and shown: `differ` solutions have different first errors, `shown` is a sample of them.

    `looked_at` solutions of the first job are compared, all of them unless fewer were asked for.
    """

    statuses: tuple[JobStatus, ...]
    overlaps: tuple[Overlap, ...]
    comparison: Comparison
    differ: int
    shown: tuple[Differing, ...]
    seed: int
    looked_at: int

    def as_json(self) -> dict[str, Any]:
        """Plain JSON types: accuracies, F1 and PRMScore in percent, 95% intervals, differences second minus first."""
        compared, ids = self.comparison, [status.job.id for status in self.statuses]
        pairs = [{"jobs": [ids[a], ids[b]], **compared.pair_report(a, b, seed=self.seed)} for a, b in compared.pairs]
        return {
            "shared": compared.solutions,
            "labelled": compared.labelled,
            "differ": self.differ,
            "jobs": [self._job_json(n) for n in range(len(ids))],
            "pairs": pairs,
        }

    def _job_json(self, n: int) -> dict[str, Any]:
        status, overlap, totals = self.statuses[n], self.overlaps[n], self.comparison.judges[n]
        report = self.comparison.report(n, seed=self.seed)
        return {
            "job_id": status.job.id,
            "judge": status.job.judge,
            "state": status.state.value,
            "solutions": overlap.solutions,
            "shared": overlap.shared,
            "not_shared": overlap.not_shared,
            "other_content": overlap.other_content,
            "f1": None if report is None else report.average_f1,
            "f1_interval": None if report is None else report.average_f1_interval,
            "subsets": None if report is None else report.as_json()["subsets"],
            "without_prediction": dict(totals.unpredicted),
            "prmscore": self.comparison.prm_score(n),
            "prmscore_classes": self.comparison.prm_classes(n),
            "positions": accuracy_by_position(totals.positions),
            "tokens_per_solution": sum(totals.tokens) / len(totals.tokens) if totals.tokens else None,
            "seconds_per_solution": seconds_per_solution(status),
        }


def seconds_per_solution(status: JobStatus) -> float | None:
    """Seconds from the job's first claim to its last record, over its solutions, by however many workers."""
    progress = status.outcomes
    if progress.started_at is None or not progress.solutions:
        return None
    end = progress.finished_at if progress.finished_at and progress.finished == progress.shards else progress.now
    return (end - progress.started_at).total_seconds() / progress.solutions


def compare_jobs(
    context: Context, job_ids: Sequence[int], *, shown: int = 0, seed: int = 0, most: int | None = None
) -> Compared:
    """Compare what the jobs say of the solutions that they share; `shown` is how many differing ones to read whole.

    With `most` about so many solutions of the first job are looked at, and no more.

    Raises NotFound, ConfigError for fewer than two jobs, and InputError where they share no solution.
    """
    if len(set(job_ids)) < 2 or len(set(job_ids)) < len(job_ids):
        raise ConfigError("two jobs or more are compared, each once", hint="e.g. rprm-jobs compare 7 8")
    statuses = tuple(job_status(context, job_id) for job_id in job_ids)
    jobs = [status.job for status in statuses]
    for job in jobs:
        if job.kind.writes:
            raise InputError(
                f"job {job.id} wrote solutions, and judges are compared",
                hint=f"judge them first: rprm-jobs submit --from-job {job.id} --judge JUDGE",
            )
    comparison, overlaps = Comparison(len(jobs)), tuple(Overlap(job.n_solutions) for job in jobs)
    sample, differ, looked_at = _Sample(shown, seed), 0, 0
    for batch in read_shared(context.database, jobs):
        looked_at += len(batch)
        for solution in batch:
            for n in solution.other_content:
                overlaps[n].other_content += 1
            if not solution.shared:
                continue
            judged = _judged(solution, jobs)
            comparison.add(judged)
            for overlap in overlaps:
                overlap.shared += 1
            if len({answer.prediction for answer in judged.answers}) > 1:
                differ += 1
                sample.offer(solution)
        if most is not None and looked_at >= most:
            break
    if not comparison.solutions:
        raise InputError(
            f"jobs {', '.join(map(str, job_ids))} share no solution: none has the same id, problem and steps in all",
            hint=f"judge the same ones again: rprm-jobs submit --from-job {job_ids[0]} --judge OTHER",
        )
    shown_whole = tuple(_show(context, jobs, sample.kept))
    return Compared(statuses, overlaps, comparison, differ, shown_whole, seed, looked_at)


class _Sample:
    """A uniform sample of at most `size` of the solutions offered, the same for the same seed, in their order."""

    def __init__(self, size: int, seed: int) -> None:
        self._size, self._rng, self._offered = size, random.Random(seed), 0
        self._kept: list[tuple[int, SharedSolution]] = []

    def offer(self, solution: SharedSolution) -> None:
        place = self._offered if self._offered < self._size else self._rng.randrange(self._offered + 1)
        entry = (self._offered, solution)
        self._offered += 1
        if place < len(self._kept):
            self._kept[place] = entry
        elif place < self._size:
            self._kept.append(entry)

    @property
    def kept(self) -> list[SharedSolution]:
        return [solution for _, solution in sorted(self._kept, key=lambda entry: entry[0])]


def _judged(solution: SharedSolution, jobs: Sequence[Job]) -> JudgedAlike:
    outcomes = [outcome for outcome in solution.outcomes if outcome is not None]
    label = _label(solution)
    votes = LabelledVotes(NO_ERROR if label is None else label, ((),) * solution.n_steps, _labels(solution))
    rated = solution.step_labels is not None
    classification = solution.metadata.get("classification")
    return JudgedAlike(
        solution.id,
        label,
        tuple(votes.truths()) if rated or label is not None else (None,) * solution.n_steps,
        rated,
        classification if isinstance(classification, str) else None,
        tuple(map(_answer, outcomes)),
        tuple(_calls(outcome, job, solution.n_steps) for outcome, job in zip(outcomes, jobs, strict=True)),
        tuple(outcome.tokens for outcome in outcomes),
    )


def _labels(solution: SharedSolution) -> tuple[int | None, ...] | None:
    return None if solution.step_labels is None else tuple(solution.step_labels)


def _label(solution: SharedSolution) -> int | None:
    return solution.label if solution.label is not None else first_error(_labels(solution) or (None,), 0)


def _answer(outcome: JobOutcome) -> Answer:
    if outcome.status is None:
        return Answer(None, _NOT_JUDGED, missing=True)
    if outcome.status != ItemStatus.OK:
        return answer_of_status(outcome.status)
    return Answer(outcome.first_error, "" if outcome.first_error is not None else NO_REWARD)


def _calls(outcome: JobOutcome, job: Job, n_steps: int) -> Calls:
    if outcome.status != ItemStatus.OK or outcome.rewards is None:
        return (None,) * n_steps
    threshold = job.recipe.threshold
    return tuple(None if reward is None else reward >= threshold for reward in outcome.rewards)


def _show(context: Context, jobs: Sequence[Job], solutions: Sequence[SharedSolution]) -> Iterator[Differing]:
    places = [[outcome.ord for s in solutions if (outcome := s.outcomes[n])] for n in range(len(jobs))]
    read = [shown_steps(context, job, ords) for job, ords in zip(jobs, places, strict=True)]
    for at, solution in enumerate(solutions):
        outcomes = [read[n][places[n][at]] for n in range(len(jobs))]
        sides = tuple(Side(str(o.status or _NOT_JUDGED), o.reason, o.first_error, steps) for o, steps in outcomes)
        first = outcomes[0][0]
        yield Differing(solution.id, _label(solution), first.problem or "", tuple(first.steps or ()), sides)
