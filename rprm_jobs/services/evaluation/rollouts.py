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
    """The problems of which every response is there (of a search: its one). `counts` are of what is not plain."""

    problems: tuple[Problem, ...]
    counts: Mapping[str, int]
    kind: JobKind


def read_rollouts(context: Context, job_id: int, scores: int | None = None) -> Rollouts:
    """Read a rollout job, with the rewards of the job `scores`, or of the one that follows it where there is one.

    Raises NotFound, ConfigError for a job of another kind or problems without answers, MissingExtra.
    """
    with context.database.transaction() as connection:
        job = jobs.get(connection, job_id)
        scores = scores or dependents.follower(connection, job_id)
    if not job.kind.writes:
        raise ConfigError(f"job {job_id} is a {job.kind.value} job", hint="name a job of rprm-jobs rollout or search")
    reader = _Reader()
    with Verifier() as verifier:
        problems = [made for group in _by_problem(context, job) if (made := reader.problem(group, verifier))]
    if scores is not None:
        problems = with_rewards_of(context, scores, problems, left_out=reader.left_out)
    return Rollouts(tuple(problems), reader.counts, job.kind)


def _by_problem(context: Context, job: Job) -> Iterator[list[RolloutRow]]:
    # The responses of a problem were taken in, and are written, one after the other.
    rows = (one for batch in read_rollout_rows(context.database, job) for one in batch)
    for _, group in groupby(rows, key=lambda one: str(one.metadata.get("problem_id", one.id))):
        yield list(group)


class _Reader:
    def __init__(self) -> None:
        self.counts = dict.fromkeys(("problems_left_out", "cut", "unparsed", "undecided"), 0)
        self.left_out: set[str] = set()

    def problem(self, group: Sequence[RolloutRow], verifier: Verifier) -> Problem | None:
        """The problem; None where a response of it is missing."""
        first = group[0]
        correct = _answers(first)
        made = [one.response for one in group if one.status == "ok" and one.response is not None]
        if len(made) < len(group):
            self.counts["problems_left_out"] += 1
            self.left_out.update(one.id for one in group)
            return None
        self.counts["cut"] += sum(one.finish is Finish.LENGTH for one in made)
        return Problem(
            id=str(first.metadata["problem_id"]),
            text=first.problem,
            responses=tuple(one.steps for one in made),
            correct=tuple(self._is_correct(correct, one, verifier) for one in made),
            answers=_alike([one.answer for one in made], verifier),
            rewards=(None,) * len(made),
        )

    def _is_correct(self, correct: Sequence[str], response: Response, verifier: Verifier) -> bool:
        if response.answer is None:
            return False
        found = verifier.compare(correct, response.answer)
        if found in (Sameness.UNPARSED, Sameness.UNDECIDED):
            self.counts[found.value] += 1
        return found is Sameness.SAME


def _answers(one: RolloutRow) -> list[str]:
    said = one.metadata.get("answer", one.metadata.get("answers"))
    if said is None:
        raise ConfigError(
            "the problem has no answer to compare with", where=f"problem {one.id}", hint="give its row an answer field"
        )
    return [str(answer) for answer in (said if isinstance(said, list) else [said])]


def _alike(answers: Sequence[str | None], verifier: Verifier) -> tuple[str | None, ...]:
    """Each answer as the first one that is the same by mathematics was written: what votes are counted by."""
    seen: list[str] = []
    alike: list[str | None] = []
    for answer in answers:
        if answer is None:
            alike.append(None)
            continue
        same = next((one for one in seen if verifier.compare([one], answer) is Sameness.SAME), None)
        if same is None:
            seen.append(answer)
        alike.append(same or answer)
    return tuple(alike)
