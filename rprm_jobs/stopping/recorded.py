"""Recorded votes: one row's votes by step and critique, and its labels, to simulate what another rule would sample."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rprm_jobs.aggregation import vote
from rprm_jobs.errors import InputError
from rprm_jobs.pairs.labels import CORRECT, NEUTRAL, WRONG, step_ratings
from rprm_jobs.types import Critique, Finish, Verdict

Votes = list[float | None]
_COUNTED = re.compile(r"yes_of_(\d+)")


@dataclass(frozen=True, slots=True)
class RecordedSolution:
    """`votes` as [step][critique]; `wrong` says of each step whether its labels call it wrong, None: they do not tell.

    Rows of one `problem` are variants of each other and stay on one side of a split.
    """

    votes: list[Votes]
    wrong: list[bool | None]
    problem: str | None


def read_solution(row: Mapping[str, Any]) -> RecordedSolution:
    """The votes and labels of a row. Raises InputError with what is wrong."""
    votes = read_votes(row)
    problem = row.get("problem")
    return RecordedSolution(votes, _wrong(row, len(votes)), problem if isinstance(problem, str) else None)


def read_votes(row: Mapping[str, Any]) -> list[Votes]:
    """Votes as [step][critique], each in [0, 1] or None without a verdict. Raises InputError with what is wrong.

    A row is one of `results --critiques`, or has `votes`: a list of steps, each a list of votes (true, false, P(Yes) or
    null), or such a list for one step; or `yes_of_N`, how many of N votes are Yes, a number a step.
    """
    if "votes" in row:
        votes = row["votes"]
        if type(votes) is not list:
            raise InputError("votes is not a list")
        steps = votes if all(type(step) is list for step in votes) else [votes]
        return [[_vote(value) for value in step] for step in steps]
    for name, counts in row.items():
        if counted := _COUNTED.fullmatch(name):
            return _from_counts(name, counts, int(counted[1]))
    critiques = row.get("critiques")
    if type(critiques) is not list or not all(step is None or type(step) is list for step in critiques):
        raise InputError("the row has neither votes nor critiques; write them with: rprm-jobs results JOB --critiques")
    return [[_critique(value) for value in step or ()] for step in critiques]


def _from_counts(name: str, counts: Any, size: int) -> list[Votes]:
    if type(counts) is not list or not all(type(yes) is int and 0 <= yes <= size for yes in counts):
        raise InputError(f"{name} is not a list of whole numbers in 0..{size}")
    return [[*[1.0] * yes, *[0.0] * (size - yes)] for yes in counts]


def _wrong(row: Mapping[str, Any], n_steps: int) -> list[bool | None]:
    errors = row.get("error_steps")
    if errors is not None:
        if type(errors) is not list or not all(type(step) is int for step in errors):
            raise InputError("error_steps is not a list of step numbers, counted from 1")
        return [step + 1 in errors for step in range(n_steps)]
    label, ratings = row.get("label"), row.get("step_labels")
    if ratings is not None and (type(ratings) is not list or len(ratings) != n_steps):
        raise InputError("step_labels is not a list with a label for each step")
    if ratings is not None and not all(rating in (CORRECT, NEUTRAL, WRONG, None) for rating in ratings):
        raise InputError("step_labels holds something else than 1, 0, -1 or null")
    if label is not None and (type(label) is not int or not -1 <= label < n_steps):
        raise InputError(f"label={label!r} is not the index of a step, counted from 0, or -1")
    rated = step_ratings(n_steps, label, ratings)
    return [None if rating is None else rating == WRONG for rating in rated]


def _vote(value: Any) -> float | None:
    if value is None:
        return None
    if type(value) not in (bool, int, float) or not 0 <= value <= 1:
        raise InputError(f"a vote is {value!r}, not true, false, null or a number in 0..1")
    return float(value)


def _critique(value: Any) -> float | None:
    if type(value) is not dict or value.get("verdict") not in list(Verdict):
        raise InputError("a critique has no verdict")
    verdict, p_yes = Verdict(value["verdict"]), _vote(value.get("p_yes"))
    return vote(Critique(0, 0, verdict, p_yes, 0, Finish.STOP, ""))
