"""Fitting calibrations to labelled jobs or recorded votes, and the calibrated rewards of a job."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rprm_jobs.errors import ConfigError
from rprm_jobs.evaluation.calibrated import fit
from rprm_jobs.evaluation.curves import LabelledVotes
from rprm_jobs.evaluation.metrics import NO_ERROR
from rprm_jobs.services.context import Context
from rprm_jobs.services.evaluation.benchmark_rows import BadRows, parse_rows
from rprm_jobs.services.jobs.results import result_rows
from rprm_jobs.settings import Limits
from rprm_jobs.stopping.recorded import read_solution
from rprm_jobs.store import calibrations
from rprm_jobs.store.calibrations import StoredCalibration
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.records import Job
from rprm_jobs.store.results.export import Outcome, read_outcomes, read_verdicts
from rprm_jobs.types import Verdict

Votes = list[list[float | None]]
_NAME = re.compile(r"[\w.-]{1,64}")
_BATCH = 500


def fit_calibration(
    context: Context, name: str, job_ids: Sequence[int], votes: Sequence[str] = (), *, position: bool = False
) -> StoredCalibration:
    """Fit to the labelled solutions of these jobs and files of recorded votes, and store under the name.

    Raises ConfigError, NotFound, InputError without labels of both kinds, Conflict where the name is taken.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is not a name for a calibration", hint="use letters, digits, dots and dashes")
    if not job_ids and not votes:
        raise ConfigError("there is nothing to learn from", hint="name labelled jobs, or a file with --votes")
    examples = (*_of_jobs(context, job_ids), *_of_files(votes, context.settings.limits))
    calibrator = fit(examples, position=position)
    sources = [*(f"job {job_id}" for job_id in job_ids), *votes]
    with context.database.transaction() as connection:
        calibrations.add(connection, name, calibrator, sources)
        return calibrations.get(connection, name)


def _of_jobs(context: Context, job_ids: Sequence[int]) -> Iterator[tuple[Votes, list[bool | None]]]:
    for job_id in job_ids:
        with context.database.transaction() as connection:
            job = jobs.get(connection, job_id)
        for outcomes in read_outcomes(context.database, job, batch=_BATCH):
            labelled = [outcome for outcome in outcomes if outcome.status == "ok" and _has_labels(outcome)]
            votes = votes_of(context, job, labelled)
            for outcome in labelled:
                yield votes[outcome.ord], truths_of(outcome, votes[outcome.ord])


def _of_files(paths: Sequence[str], limits: Limits) -> Iterator[tuple[Votes, list[bool | None]]]:
    bad = BadRows()
    for _, row in parse_rows(list(paths), limits, read_solution, bad) if paths else ():
        yield row.votes, [None if wrong is None else not wrong for wrong in row.wrong]
    bad.check("write the votes with: rprm-jobs results JOB --critiques -o votes.jsonl")


def _has_labels(outcome: Outcome) -> bool:
    return outcome.label is not None or outcome.step_labels is not None


def truths_of(outcome: Outcome, votes: Votes) -> list[bool | None]:
    """Whether each step is correct, as far as the labels of the solution say."""
    label = NO_ERROR if outcome.label is None else outcome.label
    labels = None if outcome.step_labels is None else tuple(outcome.step_labels)
    return LabelledVotes(label, tuple(map(tuple, votes)), labels).truths()


def votes_of(context: Context, job: Job, outcomes: Sequence[Outcome]) -> dict[int, Votes]:
    """The votes by ord, as [step][critique]: P(Yes) or the verdict as 0 or 1, None without a verdict."""
    votes: dict[int, Votes] = {outcome.ord: [[] for _ in outcome.rewards or ()] for outcome in outcomes}
    with context.database.transaction() as connection:
        for ord_, step, _, verdict, p_yes in read_verdicts(connection, job.id, list(votes)):
            votes[ord_][step].append(_as_vote(verdict, p_yes))
    return votes


def calibrated_rows(
    context: Context, job_id: int, name: str, *, critiques: bool = False, steps: bool = False
) -> Iterator[dict[str, Any]]:
    """The rows of `result_rows` with `calibrated`: P(correct) in [0, 1] a step, None where it has no verdict.

    Raises NotFound for an unknown job or calibration, ConfigError for a job that writes.
    """
    with context.database.transaction() as connection:
        calibrator, job = calibrations.get(connection, name).calibrator, jobs.get(connection, job_id)
    if job.kind.writes:
        raise ConfigError(
            f"job {job_id} wrote solutions and has no rewards", hint="name the score job that judged them"
        )
    for row in result_rows(context, job_id, critiques=True, steps=steps):
        row["calibrated"] = calibrator.rewards([[_vote(critique) for critique in step] for step in row["critiques"]])
        if not critiques:
            del row["critiques"]
        yield row


def _vote(critique: Mapping[str, Any]) -> float | None:
    return _as_vote(critique["verdict"], critique["p_yes"])


def _as_vote(verdict: str, p_yes: float | None) -> float | None:
    if not Verdict(verdict).parsed:
        return None
    return p_yes if p_yes is not None else float(verdict == Verdict.YES)
