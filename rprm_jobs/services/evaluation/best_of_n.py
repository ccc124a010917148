"""Best-of-N: problems with N responses from a file, rewards from the rows themselves or from a job that judged them.

As a solution to be judged, response i (from 0) of problem p has the id `p#i`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rprm_jobs.errors import BadLine, InputError
from rprm_jobs.evaluation.best_of_n import Problem, complete, read_problem
from rprm_jobs.formats import BadRow, InputRow, ReadOptions, to_solution
from rprm_jobs.services.context import Context
from rprm_jobs.services.evaluation.benchmark_rows import BadRows, FirstSeen, parse_rows
from rprm_jobs.settings import Limits
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.results.export import Outcome, read_outcomes
from rprm_jobs.types import Solution
from rprm_jobs.words import counted


@dataclass(frozen=True, slots=True)
class Problems:
    """The problems in the order of the file, and every response as a solution to be judged."""

    problems: tuple[Problem, ...]
    rows: tuple[InputRow, ...]


def read_problems(paths: Sequence[str], limits: Limits) -> Problems:
    """Read the rows. Raises InputError with every one that is not a problem with labelled responses."""
    bad, seen = BadRows(), FirstSeen()
    problems: list[Problem] = []
    rows: list[InputRow] = []

    def parse(row: Mapping[str, Any]) -> tuple[Problem, list[Solution]]:
        problem = read_problem(row)
        return problem, _solutions(problem, limits)

    for raw, (problem, solutions) in parse_rows(paths, limits, parse, bad):
        if (reason := seen.repeats(problem.id, raw, problem, otherwise="is another problem at {}")) is not None:
            bad.add(BadLine(raw.file, raw.line, reason))
        problems.append(problem)
        rows += [InputRow(raw.file, raw.line, solution) for solution in solutions]
    bad.check("give one problem a line: id, problem, responses (lists of steps), labels, and maybe rewards")
    return Problems(tuple(problems), tuple(rows))


def _solutions(problem: Problem, limits: Limits) -> list[Solution]:
    solutions = []
    for index, steps in enumerate(problem.responses):
        row = {"id": _response_id(problem, index), "problem": problem.text, "steps": list(steps)}
        try:
            solutions.append(to_solution({**row, "correct": problem.correct[index]}, ReadOptions(), limits))
        except BadRow as error:
            raise InputError(f"response {index + 1}: {error}") from error
    return solutions


def _response_id(problem: Problem, index: int) -> str:
    return f"{problem.id}#{index}"


def with_rewards_of(
    context: Context, job_id: int, problems: Sequence[Problem], *, left_out: Collection[str] = ()
) -> list[Problem]:
    """The problems with the rewards of a job that judged their responses; what failed there has none.

    Raises NotFound, and InputError with every solution of the job that is not one of the responses, nor in `left_out`.
    """
    with context.database.transaction() as connection:
        job = jobs.get(connection, job_id)
    n_steps = {_response_id(p, index): len(steps) for p in problems for index, steps in enumerate(p.responses)}
    bad = BadRows()
    rewards: dict[str, tuple[float, ...] | None] = {}
    for batch in read_outcomes(context.database, job):
        for outcome in batch:
            if outcome.id in left_out:
                continue
            try:
                rewards[outcome.id] = _rewards(outcome, n_steps.get(outcome.id))
            except InputError as error:
                bad.add(BadLine(job.sources[outcome.source], outcome.line, error.what))
    bad.check(f"name the file whose responses job {job_id} judged")
    return [
        replace(problem, rewards=tuple(rewards.get(_response_id(problem, i)) for i in range(len(problem.responses))))
        for problem in problems
    ]


def _rewards(outcome: Outcome, n_steps: int | None) -> tuple[float, ...] | None:
    if n_steps is None:
        raise InputError(f"{outcome.id!r} is none of the responses")
    if outcome.rewards is None or outcome.status != "ok":
        return None
    if len(outcome.rewards) != n_steps:
        raise InputError(f"{outcome.id!r} has {counted(len(outcome.rewards), 'reward')} for {counted(n_steps, 'step')}")
    return complete(outcome.rewards)
