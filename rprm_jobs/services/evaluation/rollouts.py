"""Best-of-N of a rollout job: its responses as problems, answers compared by mathematics, rewards of its score job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from rprm_jobs.errors import ConfigError
from rprm_jobs.evaluation.best_of_n import Problem
from rprm_jobs.evaluation.verify import Sameness, Verifier
from rprm_jobs.services.context import Context
from rprm_jobs.services.evaluation.best_of_n import with_rewards_of
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.queue import dependents
from rprm_jobs.store.records import Job
from rprm_jobs.store.results.responses import RolloutRow, read_rollout_rows
from rprm_jobs.types import Finish, JobKind, Response


@dataclass(frozen=True, slots=True)
class Rollouts:
    """The problems of which every response is there (of a search: its one).

    `counts` are of problems left out, and of responses cut, unparsed or undecided.
    """

    problems: tuple[Problem, ...]
    counts: Mapping[str, int]
    kind: JobKind


def read_rollouts(context: Context, job_id: int, scores: int | None = None) -> Rollouts:
    """Read a rollout job, with the rewards of the job `scores`, by default of the score job that depends on it.

    Raises NotFound, ConfigError for a job of another kind or problems without answers, MissingExtra.
    """
    with context.database.transaction() as connection:
        job = jobs.get(connection, job_id)
        scores = scores or dependents.dependent_job(connection, job_id)
    if not job.kind.writes:
        raise ConfigError(f"job {job_id} is a {job.kind.value} job", hint="name a job of rprm-jobs rollout or search")
    reader = _Reader()
    with Verifier() as verifier:
        problems = [problem for group in _by_problem(context, job) if (problem := reader.problem(group, verifier))]
    if scores is not None:
        problems = with_rewards_of(context, scores, problems, left_out=reader.left_out)
    return Rollouts(tuple(problems), reader.counts, job.kind)


def _by_problem(context: Context, job: Job) -> Iterator[list[RolloutRow]]:
    # The responses of a problem were taken in, and are written, one after the other.
    rows = (row for batch in read_rollout_rows(context.database, job) for row in batch)
    for _, group in groupby(rows, key=lambda row: str(row.metadata.get("problem_id", row.id))):
        yield list(group)


class _Reader:
    def __init__(self) -> None:
        self.counts = dict.fromkeys(("problems_left_out", "cut", "unparsed", "undecided"), 0)
        self.left_out: set[str] = set()

    def problem(self, group: Sequence[RolloutRow], verifier: Verifier) -> Problem | None:
        """The problem; None where a response of it is missing."""
        first = group[0]
        correct = _answers(first)
        responses = [row.response for row in group if row.status == "ok" and row.response is not None]
        if len(responses) < len(group):
            self.counts["problems_left_out"] += 1
            self.left_out.update(row.id for row in group)
            return None
        self.counts["cut"] += sum(response.finish is Finish.LENGTH for response in responses)
        return Problem(
            id=str(first.metadata["problem_id"]),
            text=first.problem,
            responses=tuple(response.steps for response in responses),
            correct=tuple(self._is_correct(correct, response, verifier) for response in responses),
            answers=_alike([response.answer for response in responses], verifier),
            rewards=(None,) * len(responses),
        )

    def _is_correct(self, correct: Sequence[str], response: Response, verifier: Verifier) -> bool:
        if response.answer is None:
            return False
        sameness = verifier.compare(correct, response.answer)
        if sameness in (Sameness.UNPARSED, Sameness.UNDECIDED):
            self.counts[sameness.value] += 1
        return sameness is Sameness.SAME


def _answers(row: RolloutRow) -> list[str]:
    stated = row.metadata.get("answer", row.metadata.get("answers"))
    if stated is None:
        raise ConfigError(
            "the problem has no answer to compare with", where=f"problem {row.id}", hint="give its row an answer field"
        )
    return [str(answer) for answer in (stated if isinstance(stated, list) else [stated])]


def _alike(answers: Sequence[str | None], verifier: Verifier) -> tuple[str | None, ...]:
    """Each answer as the first one that is the same by mathematics was written: what votes are counted by."""
    seen: list[str] = []
    alike: list[str | None] = []
    for answer in answers:
        if answer is None:
            alike.append(None)
            continue
        same = next((earlier for earlier in seen if verifier.compare([earlier], answer) is Sameness.SAME), None)
        if same is None:
            seen.append(answer)
        alike.append(same or answer)
    return tuple(alike)
