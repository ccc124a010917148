"""The rows of `judgements`: as few as let every judgement be found.

Index entries of random keys are what recording can ill afford. Solutions share a step's key only where they share the
first step's too, so one row, under the first step's key, has all keys of a solution. The next solution of the job with
the same first step has rows of its own for those of its steps that the job has not yet: whoever looks up a key reads as
many rows as there are jobs that have it, however many branches of one solution a job judges.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.store.results.judgements import uuid_array
from rprm_jobs.store.session import copy_rows
from rprm_jobs.types import SolutionScore

COLUMNS = ("key", "job_id", "ord", "step", "n", "step_keys", "counts")


def packed_keys(score: SolutionScore) -> bytes | None:
    """The keys of a solution's steps as `scores.step_keys` has them: 16 bytes a step."""
    return b"".join(score.keys) if score.keys else None


def add(
    connection: Connection,
    job_id: int,
    scores: Sequence[SolutionScore],
    counts: Mapping[int, Sequence[int]],
    firsts: Collection[bytes],
) -> None:
    """Store where the judgements of these outcomes are.

    `counts` are the critiques of each step by the solution's ord, `firsts` those of the first steps' keys under which
    the job has a row.
    """
    taken, rows, branches = set(firsts), [], []
    for score in scores:
        if not score.keys or not score.critiques:
            continue
        if score.keys[0] in taken:
            branches.append(score)
        else:
            taken.add(score.keys[0])
            rows.append(_row(job_id, score, counts[score.ord]))
    rows += _branch_rows(connection, job_id, branches, counts)
    if rows:
        copy_rows(connection, "judgements", COLUMNS, rows)


def _row(job_id: int, score: SolutionScore, counts: Sequence[int]) -> tuple[Any, ...]:
    # The driver takes longer over a list of numbers than over the rest of the row.
    array = "{" + ",".join(map(str, counts)) + "}"
    return score.keys[0].hex(), job_id, score.ord, 0, counts[0], packed_keys(score), array


def _branch_rows(
    connection: Connection, job_id: int, scores: Sequence[SolutionScore], counts: Mapping[int, Sequence[int]]
) -> list[tuple[Any, ...]]:
    """A row for each step that the job has not under a row of its own, or with fewer critiques."""
    if not scores:
        return []
    there = _most(connection, job_id, {key for score in scores for key in score.keys})
    rows = []
    for score in scores:
        for step, (key, n) in enumerate(zip(score.keys, counts[score.ord], strict=True)):
            if n > there.get(key, 0):
                there[key] = n
                rows.append((key.hex(), job_id, score.ord, step, n, None, None))
    return rows


def _most(connection: Connection, job_id: int, keys: Collection[bytes]) -> dict[bytes, int]:
    """For each of the keys under which the job has a row the most critiques that are said to be there."""
    query = text(
        "SELECT uuid_send(g.key) AS key, max(n) AS most FROM judgements AS g"
        " WHERE g.key = ANY(CAST(:keys AS uuid[])) AND job_id = :job GROUP BY g.key"
    )
    rows = connection.execute(query, {"keys": uuid_array(keys), "job": job_id})
    return {row.key: row.most for row in rows}


def forget(connection: Connection, job_id: int) -> None:
    """Remove what points at the job."""
    connection.execute(text("DELETE FROM judgements WHERE job_id = :job"), {"job": job_id})
