"""Recorded votes: one row's votes by step and critique, to simulate what another rule would have sampled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rprm_jobs.aggregation import vote
from rprm_jobs.errors import InputError
from rprm_jobs.types import Critique, Finish, Verdict

Votes = list[float | None]


def read_votes(row: Mapping[str, Any]) -> list[Votes]:
    """Votes as [step][critique], each in [0, 1] or None without a verdict. Raises InputError with what is wrong.

    A row is one of `results --critiques`, or has `votes`: a list of steps, each a list of votes (true, false, P(Yes) or
    null), or such a list for one step.
    """
    if "votes" in row:
        votes = row["votes"]
        if type(votes) is not list:
            raise InputError("votes is not a list")
        steps = votes if all(type(step) is list for step in votes) else [votes]
        return [[_vote(value) for value in step] for step in steps]
    critiques = row.get("critiques")
    if type(critiques) is not list or not all(step is None or type(step) is list for step in critiques):
        raise InputError("the row has neither votes nor critiques; write them with: rprm-jobs results JOB --critiques")
    return [[_critique(value) for value in step or ()] for step in critiques]


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
