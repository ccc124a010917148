"""The plans of a job that is judged by the `planned` stopping rule, and the votes that they are fitted to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.store.schema.partitions import partition

_VOTE = "coalesce(p_yes, CASE verdict WHEN 'yes' THEN 1.0 ELSE 0.0 END)"


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """`version` counts from 1; `steps` is how many judged steps it was fitted to.

    `prior[y]` weighs y Yes of the recipe's k; `wrong[y]` is the part of them in [0, 1] called wrong, None where
    every vote is 0 or 1.
    """

    version: int
    steps: int
    prior: tuple[float, ...]
    wrong: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class Votes:
    """How many steps ended with each (number of parsed critiques, rounded sum of their votes), and exact sums.

    `totals` are the sums of the votes of those steps whose k critiques all have a verdict.
    """

    steps: int
    seen: Counter[tuple[int, int]]
    totals: Sequence[float]


def latest(connection: Connection, job_id: int) -> StoredPlan | None:
    """The newest plan of the job, None before the first."""
    query = text("SELECT version, steps, prior, wrong FROM plans WHERE job_id = :job ORDER BY version DESC LIMIT 1")
    row = connection.execute(query, {"job": job_id}).one_or_none()
    if row is None:
        return None
    return StoredPlan(row.version, row.steps, tuple(row.prior), None if row.wrong is None else tuple(row.wrong))


def judged_steps(connection: Connection, job_id: int) -> int:
    """How many steps of the job have been judged."""
    query = text("SELECT coalesce(sum(steps_done), 0) FROM shards WHERE job_id = :job")
    return int(connection.execute(query, {"job": job_id}).scalar_one())


def votes(connection: Connection, job_id: int, k: int) -> Votes:
    """All votes of the job so far."""
    query = text(
        f"""
        SELECT parsed, total, count(*) AS n FROM (
          SELECT count(*) FILTER (WHERE verdict IN ('yes', 'no')) AS parsed,
                 coalesce(sum({_VOTE}) FILTER (WHERE verdict IN ('yes', 'no')), 0) AS total
          FROM {partition("verdicts", job_id)} GROUP BY ord, step) AS step
        GROUP BY parsed, total"""
    )
    seen: Counter[tuple[int, int]] = Counter()
    totals: list[float] = []
    for row in connection.execute(query, {}):
        seen[row.parsed, int(row.total + 0.5)] += row.n
        if row.parsed == k:
            totals += [row.total] * row.n
    return Votes(seen.total(), seen, totals)


def add(connection: Connection, job_id: int, plan: StoredPlan) -> bool:
    """Store it; False when another worker stored this version first, or the job is gone."""
    query = text(
        "INSERT INTO plans (job_id, version, steps, prior, wrong)"
        " SELECT id, :version, :steps, :prior, :wrong FROM jobs WHERE id = :job ON CONFLICT DO NOTHING"
    )
    values = {
        "job": job_id,
        "version": plan.version,
        "steps": plan.steps,
        "prior": list(plan.prior),
        "wrong": None if plan.wrong is None else list(plan.wrong),
    }
    return connection.execute(query, values).rowcount == 1
