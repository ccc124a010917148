"""The plans of a job that is judged by the `planned` stopping rule, and the votes that they are fitted to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.store.schema.partitions import partition

# The first half of the advisory locks on fits ("RPRF"), apart from those on dependent jobs.
_FIT_CLASS = 0x52505246
# A plan is fitted to about so many steps: more of them change next to nothing, and reading them takes ever longer.
MOST_STEPS = 50_000
_VOTE = "coalesce(p_yes, CASE verdict WHEN 'yes' THEN 1.0 ELSE 0.0 END)"


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """`version` counts from 1; `steps` is how many judged steps it was fitted to.

    `prior[y]` weighs y Yes of the recipe's k; `wrong[y]` is the part of them in [0, 1] called wrong, None where
    every vote is 0 or 1. `priors` has one for each context, where the plan is by context.
    """

    version: int
    steps: int
    prior: tuple[float, ...]
    wrong: tuple[float, ...] | None
    priors: tuple[tuple[float, ...], ...] | None = None


@dataclass(frozen=True, slots=True)
class Votes:
    """How many steps ended with each (number of parsed critiques, rounded sum of their votes), and exact sums.

    `totals` are the sums of the votes of those steps whose k critiques all have a verdict. `by_context` has the same
    counts by (the rewards before the step), where they were asked for.
    """

    steps: int
    seen: Counter[tuple[int, int]]
    totals: Sequence[float]
    by_context: Mapping[tuple[float | None, ...], Counter[tuple[int, int]]]


def latest(connection: Connection, job_id: int) -> StoredPlan | None:
    """The newest plan of the job, None before the first."""
    query = text(
        "SELECT version, steps, prior, wrong, priors FROM plans WHERE job_id = :job ORDER BY version DESC LIMIT 1"
    )
    row = connection.execute(query, {"job": job_id}).one_or_none()
    if row is None:
        return None
    wrong = None if row.wrong is None else tuple(row.wrong)
    priors = None if row.priors is None else tuple(map(tuple, row.priors))
    return StoredPlan(row.version, row.steps, tuple(row.prior), wrong, priors)


def try_fit(connection: Connection, job_id: int) -> bool:
    """Become the one that fits the job's next plan, until the transaction ends; False when another worker is at it."""
    query = text("SELECT pg_try_advisory_xact_lock(:class, CAST(:id % 2147483648 AS integer))")
    return bool(connection.execute(query, {"class": _FIT_CLASS, "id": job_id}).scalar_one())


def judged_steps(connection: Connection, job_id: int) -> int:
    """How many steps of the job have been judged, of an extension by that alone."""
    query = text(
        "SELECT coalesce(sum(steps_done), 0) FROM shards WHERE job_id = :job"
        " AND extension = (SELECT max(extension) FROM shards WHERE job_id = :job)"
    )
    return int(connection.execute(query, {"job": job_id}).scalar_one())


def votes(connection: Connection, job_id: int, k: int, *, by_context: bool = False) -> Votes:
    """The votes of the steps that were judged with up to `k` critiques, of about MOST_STEPS steps where there are more.

    Those are whole shards in an order that has nothing to do with the input. What an extension has yet to judge on is
    left out: it has the votes of an earlier K, which another rule stopped.
    """
    context = "r.rewards[1:v.step]" if by_context else "NULL::float[]"
    query = text(
        f"""
        WITH current AS (
          SELECT first_ord, last_ord, extension, steps_done,
                 sum(steps_done) OVER (ORDER BY hashint8(id), id) - steps_done AS before
          FROM shards WHERE job_id = :job AND steps_done > 0
            AND extension = (SELECT max(extension) FROM shards WHERE job_id = :job))
        SELECT v.parsed, v.total, v.earlier, count(*) AS n
        FROM current AS c CROSS JOIN LATERAL (
          SELECT count(*) FILTER (WHERE verdict IN ('yes', 'no')) AS parsed,
                 coalesce(sum({_VOTE}) FILTER (WHERE verdict IN ('yes', 'no')), 0) AS total, {context} AS earlier
          FROM {partition("verdicts", job_id)} AS v JOIN {partition("scores", job_id)} AS r USING (ord)
          WHERE v.ord BETWEEN c.first_ord AND c.last_ord AND v.k < :k AND r.extension >= c.extension
          GROUP BY v.ord, v.step, earlier) AS v
        WHERE c.before < :most GROUP BY v.parsed, v.total, v.earlier"""
    )
    seen: Counter[tuple[int, int]] = Counter()
    contexts: dict[tuple[float | None, ...], Counter[tuple[int, int]]] = {}
    totals: list[float] = []
    for row in connection.execute(query, {"job": job_id, "k": k, "most": MOST_STEPS}):
        state = row.parsed, int(row.total + 0.5)
        seen[state] += row.n
        if by_context:
            contexts.setdefault(tuple(row.earlier), Counter())[state] += row.n
        if row.parsed == k:
            totals += [row.total] * row.n
    return Votes(seen.total(), seen, totals, contexts)


def add(connection: Connection, job_id: int, plan: StoredPlan) -> bool:
    """Store it; False when another worker stored this version first, or the job is gone."""
    query = text(
        "INSERT INTO plans (job_id, version, steps, prior, wrong, priors)"
        " SELECT id, :version, :steps, :prior, :wrong, :priors FROM jobs WHERE id = :job ON CONFLICT DO NOTHING"
    )
    values = {
        "job": job_id,
        "version": plan.version,
        "steps": plan.steps,
        "prior": list(plan.prior),
        "wrong": None if plan.wrong is None else list(plan.wrong),
        "priors": None if plan.priors is None else [list(prior) for prior in plan.priors],
    }
    return connection.execute(query, values).rowcount == 1
