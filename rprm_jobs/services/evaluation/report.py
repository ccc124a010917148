"""What a report of one job shows: its numbers, the votes on a random sample of its solutions, and some of those whole.

A job may have millions of solutions; a page that opens in a browser is drawn from a seeded sample of them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rprm_jobs.aggregation import first_error, vote
from rprm_jobs.errors import InputError, NotFinished
from rprm_jobs.evaluation.calibrated import Calibrator
from rprm_jobs.evaluation.curves import LabelledVotes
from rprm_jobs.evaluation.metrics import NO_ERROR
from rprm_jobs.services.context import Context
from rprm_jobs.services.evaluation.calibrated_jobs import get_calibrator
from rprm_jobs.services.jobs.query import JobStatus, job_status, refuse_unjudged
from rprm_jobs.store.queue import dependents
from rprm_jobs.store.records import Job
from rprm_jobs.store.results.export import Outcome, read_some, read_verdicts
from rprm_jobs.store.texts import unpack_texts
from rprm_jobs.store.training import runs
from rprm_jobs.store.training.runs import Logged, Run
from rprm_jobs.types import Critique, Finish, JobKind, Verdict

_BATCH = 500
# A probability of 0 has an infinite logarithm; a judge that is that sure and wrong costs this much.
_SUREST = 1e-6

Votes = tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True, slots=True)
class ReportSample:
    """One solution of the sample. `votes` is [step][critique], in [0, 1] or None without a verdict.

    `label` is the 0-based first wrong step, -1 for none, None where the labels do not say. `calibrated` are the rewards
    by a calibration, None where none was asked for.
    """

    ord: int
    id: str
    status: str
    first_error: int | None
    label: int | None
    step_labels: tuple[int | None, ...] | None
    rewards: tuple[float | None, ...]
    votes: Votes
    calibrated: tuple[float | None, ...] | None = None

    @property
    def cost(self) -> float:
        """How worthwhile a look is: with labels the log loss of the worst step, else how much its critiques differ."""
        return _cost(self.rewards, self.votes, None if self.known is None else self.known.truths())

    @property
    def known(self) -> LabelledVotes | None:
        """As the curves take it, None without labels. Where `label` is None only its truths by step count."""
        if self.label is None and self.step_labels is None:
            return None
        return LabelledVotes(NO_ERROR if self.label is None else self.label, self.votes, self.step_labels)

    @property
    def known_calibrated(self) -> LabelledVotes | None:
        """As `known`, with the calibrated rewards for votes."""
        known = self.known
        return None if known is None or self.calibrated is None else replace(known, votes=_single(self.calibrated))

    @property
    def differs(self) -> bool:
        """Whether the judge names another first error than the label."""
        return self.label is not None and self.first_error is not None and self.label != self.first_error


@dataclass(frozen=True, slots=True)
class ShownCritique:
    """One critique as it is shown; `text` is None where it was not kept."""

    verdict: str
    p_yes: float | None
    text: str | None


@dataclass(frozen=True, slots=True)
class ShownStep:
    """One step with its reward (None: not judged, or without a verdict), what the labels say of it, and critiques."""

    text: str
    reward: float | None
    right: bool | None
    critiques: tuple[ShownCritique, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A solution to be read step by step."""

    sampled: ReportSample
    reason: str | None
    problem: str
    steps: tuple[ShownStep, ...]


@dataclass(frozen=True, slots=True)
class ReportData:
    """All that a page needs; `shown` are the solutions most worth reading, first those of the highest cost.

    `trained` is how the judge was trained, where the store has seen that.
    """

    status: JobStatus
    sample: tuple[ReportSample, ...]
    shown: tuple[Shown, ...]
    trained: tuple[Run, Sequence[Logged]] | None = None


def _single(rewards: Sequence[float | None]) -> Votes:
    return tuple((reward,) for reward in rewards)


def _refuse_writing(context: Context, job: Job) -> None:
    """Raises InputError with the job that judged the solutions which this one wrote, if there is one."""
    with context.database.transaction() as connection:
        scores = dependents.dependent_job(connection, job.id)
    if scores is not None:
        hint = f"job {scores} judged them: rprm-jobs report {scores}"
    elif job.kind is JobKind.SEARCH:
        hint = f"read its tree, with every candidate's reward: rprm-jobs results {job.id} --critiques"
    else:
        hint = f"judge them first: rprm-jobs results {job.id} -o rollouts.jsonl, then rprm-jobs submit rollouts.jsonl"
    raise InputError(f"job {job.id} wrote solutions, and a report is about judging", hint=hint)


def read_report(
    context: Context, job_id: int, *, sample: int, shown: int, seed: int = 0, calibrated: str | None = None
) -> ReportData:
    """Draw the sample and read it, with rewards by the calibration of this name.

    Raises NotFound, and InputError for a job that has judged nothing yet.
    """
    calibrator = None if calibrated is None else get_calibrator(context, calibrated)
    status = job_status(context, job_id)
    job = status.job
    if job.kind.writes:
        _refuse_writing(context, job)
    refuse_unjudged(status)
    ords = sorted(random.Random(seed).sample(range(job.n_solutions), min(sample, job.n_solutions)))
    sampled = [solution for batch in _batches(ords) for solution in _sampled(context, job, batch, calibrator)]
    if not sampled:
        raise NotFinished(
            f"none of the {len(ords):,} sampled solutions of job {job_id} is judged yet",
            hint=f"wait for it: rprm-jobs status {job_id} --watch",
        )
    worth = sorted(sampled, key=lambda solution: (-solution.cost, solution.ord))[:shown]
    return ReportData(status, tuple(sampled), tuple(_show(context, job, worth)), _trained(context, job))


def _trained(context: Context, job: Job) -> tuple[Run, Sequence[Logged]] | None:
    folder = job.model_paths.get("judge")
    if folder is None:
        return None
    with context.database.transaction() as connection:
        run = runs.of_folder(connection, folder, job.created_at)
        return None if run is None else (run, runs.metrics(connection, run.id))


def _batches(ords: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ords[at : at + _BATCH] for at in range(0, len(ords), _BATCH))


def _sampled(context: Context, job: Job, ords: Sequence[int], calibrator: Calibrator | None) -> Iterator[ReportSample]:
    outcomes = [outcome for outcome in read_some(context.database, job, ords) if outcome.status is not None]
    critiques = _critiques(context, job.id, outcomes)
    for outcome in outcomes:
        rewards = tuple(outcome.rewards or ())
        groups = critiques.get(outcome.ord, {})
        votes = tuple(tuple(vote(critique) for critique in groups.get(step, ())) for step in range(len(rewards)))
        labels = None if outcome.step_labels is None else tuple(outcome.step_labels)
        label = outcome.label if outcome.label is not None else first_error(labels or (None,), 0)
        better = None if calibrator is None else tuple(calibrator.rewards(votes))
        yield ReportSample(
            outcome.ord, outcome.id, str(outcome.status), outcome.first_error, label, labels, rewards, votes, better
        )


def _cost(rewards: Sequence[float | None], votes: Votes, known: Sequence[bool | None] | None) -> float:
    if known is None:
        spreads = [_spread([vote for vote in step if vote is not None]) for step in votes]
        return max(spreads, default=0.0)
    losses = [
        -math.log(max(reward if right else 1.0 - reward, _SUREST))
        for reward, right in zip(rewards, known, strict=True)
        if reward is not None and right is not None
    ]
    return max(losses, default=0.0)


def _spread(votes: Sequence[float]) -> float:
    if not votes:
        return 0.0
    mean = math.fsum(votes) / len(votes)
    return math.fsum((vote - mean) ** 2 for vote in votes) / len(votes)


def _critiques(context: Context, job_id: int, outcomes: Sequence[Outcome]) -> dict[int, dict[int, list[Critique]]]:
    """By ord and step, in the order of k; without their texts."""
    with context.database.transaction() as connection:
        rows = read_verdicts(connection, job_id, [outcome.ord for outcome in outcomes])
    by_step: dict[int, dict[int, list[Critique]]] = {}
    for ord_, step, k, verdict, p_yes in rows:
        critique = Critique(step, k, Verdict(verdict), p_yes, 0, Finish.STOP, "")
        by_step.setdefault(ord_, {}).setdefault(step, []).append(critique)
    return by_step


def _show(context: Context, job: Job, worth: Sequence[ReportSample]) -> Iterator[Shown]:
    by_ord = {sampled.ord: sampled for sampled in worth}
    outcomes = read_some(context.database, job, list(by_ord), with_texts=True, with_steps=True)
    whole = {outcome.ord: outcome for outcome in outcomes}
    critiques = _critiques(context, job.id, list(whole.values()))
    for sampled in worth:
        outcome = whole[sampled.ord]
        known = sampled.known.truths() if sampled.known is not None else [None] * len(sampled.rewards)
        steps = tuple(_steps(known, outcome, critiques.get(sampled.ord, {})))
        yield Shown(sampled, outcome.reason, outcome.problem or "", steps)


def shown_steps(context: Context, job: Job, ords: Sequence[int]) -> dict[int, tuple[Outcome, tuple[ShownStep, ...]]]:
    """These solutions, by ord, with their steps and critiques to be read; what the labels say is left out."""
    outcomes = read_some(context.database, job, ords, with_texts=True, with_steps=True)
    critiques = _critiques(context, job.id, outcomes)
    return {
        outcome.ord: (
            outcome,
            tuple(_steps([None] * len(outcome.steps or ()), outcome, critiques.get(outcome.ord, {}))),
        )
        for outcome in outcomes
    }


def _steps(
    known: Sequence[bool | None], outcome: Outcome, critiques: Mapping[int, Sequence[Critique]]
) -> Iterator[ShownStep]:
    texts = unpack_texts(outcome.texts) if outcome.texts is not None else None
    rewards = outcome.rewards or [None] * len(outcome.steps or ())
    for step, text in enumerate(outcome.steps or ()):
        kept = texts[step] if texts is not None else None
        group = critiques.get(step, ())
        shown = tuple(
            ShownCritique(critique.verdict.value, critique.p_yes, kept[at] if kept else None)
            for at, critique in enumerate(group)
        )
        yield ShownStep(text, rewards[step], known[step], shown)
