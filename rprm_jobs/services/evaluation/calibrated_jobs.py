"""What calibrated rewards make of a job: its outcomes with them, and how reliable they and the rewards are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from rprm_jobs.errors import ConfigError, InputError
from rprm_jobs.evaluation.calibrated import Calibrator
from rprm_jobs.evaluation.curves import Calibration, LabelledVotes, calibration
from rprm_jobs.evaluation.metrics import NO_ERROR
from rprm_jobs.services.context import Context
from rprm_jobs.services.evaluation.calibrate import votes_of
from rprm_jobs.store import calibrations
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.records import Job
from rprm_jobs.store.results.export import Outcome, read_outcomes
from rprm_jobs.types import ItemStatus

_BATCH = 500
Rewards = Sequence[float | None]


class _Report(Protocol):
    def as_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Reliability:
    """How often steps with such a reward are right: of the rewards, and of the calibrated ones."""

    reward: Calibration
    calibrated: Calibration


@dataclass(frozen=True, slots=True)
class CalibratedReport:
    """A benchmark's report by calibrated rewards, at the `threshold` of the calibration.

    `reliability` is None where the job's solutions came without labels.
    """

    name: str
    threshold: float
    report: _Report
    reliability: Reliability | None

    def as_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        curves = None if self.reliability is None else asdict(self.reliability)
        return {"name": self.name, "threshold": self.threshold, **self.report.as_json(), "reliability": curves}


def get_calibrator(context: Context, name: str) -> Calibrator:
    """What is stored under the name. Raises NotFound."""
    with context.database.transaction() as connection:
        return calibrations.get(connection, name).calibrator


def outcomes_of(context: Context, job: Job, calibrator: Calibrator | None) -> Iterator[list[Outcome]]:
    """Batches of the job's outcomes, with calibrated rewards where a calibrator is given.

    Raises ConfigError for a judge that says nothing of single steps.
    """
    if calibrator is None:
        yield from read_outcomes(context.database, job)
        return
    if job.recipe.judge_family.votes_for_first_error:
        raise ConfigError(
            f"job {job.id} voted for the first error, and has no rewards to calibrate", hint="leave out --calibrated"
        )
    for batch in read_outcomes(context.database, job, batch=_BATCH):
        votes = votes_of(context, job, [outcome for outcome in batch if outcome.status == ItemStatus.OK])
        yield [
            replace(outcome, rewards=calibrator.rewards(votes[outcome.ord])) if outcome.ord in votes else outcome
            for outcome in batch
        ]


def read_reliability(context: Context, job_id: int, calibrator: Calibrator) -> Reliability | None:
    """The two curves over the job's labelled steps, by the labels that it was submitted with; None without any."""
    with context.database.transaction() as connection:
        job = jobs.get(connection, job_id)
    curves = []
    for each in (None, calibrator):
        outcomes = (outcome for batch in outcomes_of(context, job, each) for outcome in batch)
        labelled = [known for outcome in outcomes if (known := _labelled(outcome)) is not None]
        try:
            curves.append(calibration(labelled))
        except InputError:
            return None
    return Reliability(*curves)


def _labelled(outcome: Outcome) -> LabelledVotes | None:
    if outcome.status != ItemStatus.OK or (outcome.label is None and outcome.step_labels is None):
        return None
    labels = None if outcome.step_labels is None else tuple(outcome.step_labels)
    return as_labelled(NO_ERROR if outcome.label is None else outcome.label, outcome.rewards or (), labels)


def as_labelled(label: int, rewards: Rewards, step_labels: tuple[int | None, ...] | None) -> LabelledVotes:
    """A labelled solution whose rewards stand for its votes, as the curves take it."""
    return LabelledVotes(label, tuple((reward,) for reward in rewards), step_labels)
