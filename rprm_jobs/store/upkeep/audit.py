"""Questions whose every answer must be zero: what a job should hold and does not, holds twice, or holds wrongly.

The recipe and the shards say what must exist. While a job runs only its finished shards are held to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.judge.families.critic import CriticFamily
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.store.records import Job
from rprm_jobs.store.schema.partitions import partition

_EXAMPLES = 5
# A lease this long past its end should have been swept by any worker.
_OVERDUE_S = 60

# About one outcome each: a line for every fault with its `ord` and an `example`. {solutions} and the like are the job's
# partitions. What they find is repaired by judging the solution again (rprm_jobs.store.upkeep.repair).
OUTCOME_CHECKS: Mapping[str, str] = {
    "missing: steps with fewer critiques than the recipe asks for": """
      SELECT r.ord, s.ext_id || ' step ' || c.step AS example
      FROM {scores} AS r JOIN {solutions} AS s USING (ord)
      JOIN (SELECT greatest(max(h.extension), max((j.extension ->> 'generation')::int) FILTER (
                     WHERE j.extension @> jsonb_build_object('running', TRUE))) AS now
            FROM shards AS h JOIN jobs AS j ON j.id = h.job_id WHERE h.job_id = :job) AS e ON r.extension = e.now
      CROSS JOIN unnest(r.critiques_per_step) WITH ORDINALITY AS c (n, step)
      -- With a reason, an extension of it failed and the earlier reward stands.
      WHERE r.status = 'ok' AND r.reason IS NULL AND c.n < :k AND (:fixed OR :planned AND r.plan IS NULL)""",
    "missing: steps without a reward in a solution called ok": """
      SELECT r.ord, s.ext_id AS example FROM {scores} AS r JOIN {solutions} AS s USING (ord)
      WHERE r.status = 'ok' AND (cardinality(r.rewards) <> s.n_steps OR EXISTS (
        SELECT 1 FROM unnest(r.rewards, r.critiques_per_step) AS u (reward, n)
        WHERE u.n IS NOT NULL AND u.reward IS NULL))""",
    "disagreeing: steps that were judged and steps to be judged": """
      SELECT r.ord, s.ext_id AS example FROM {scores} AS r JOIN {solutions} AS s USING (ord)
      CROSS JOIN LATERAL (
        SELECT coalesce(s.judge_steps, ARRAY(SELECT generate_series(0, s.n_steps - 1)::smallint)) AS asked,
               ARRAY(SELECT (u.step - 1)::smallint FROM unnest(r.critiques_per_step) WITH ORDINALITY AS u (n, step)
                     WHERE u.n IS NOT NULL ORDER BY 1) AS judged) AS of
      WHERE of.judged <> of.asked AND NOT (
        -- Up to the first error: a beginning of the steps, which ends in the wrong one (or in one without a verdict).
        :until AND of.judged = of.asked[1:cardinality(of.judged)] AND cardinality(of.judged) > 0
        AND (r.status <> 'ok' OR r.first_error = of.judged[cardinality(of.judged)]))""",
    "missing: failed solutions without a reason": """
      SELECT r.ord, s.ext_id AS example FROM {scores} AS r JOIN {solutions} AS s USING (ord)
      WHERE r.status <> 'ok' AND coalesce(r.reason, '') = ''""",
    "doubled: more critiques of a step than the recipe asks for": """
      SELECT ord, 'solution ' || ord || ' step ' || step + 1 AS example FROM {verdicts} WHERE k >= :most
      GROUP BY ord, step""",
    "disagreeing: critiques counted and critiques stored": """
      SELECT ord, 'solution ' || ord || ' step ' || step AS example
      FROM (SELECT r.ord, u.step::int AS step, u.n FROM {scores} AS r
            CROSS JOIN unnest(r.critiques_per_step) WITH ORDINALITY AS u (n, step) WHERE u.n > 0) AS c
      FULL JOIN (SELECT ord, step::int + 1 AS step, count(*) AS n, max(k) + 1 AS top FROM {verdicts}
                 GROUP BY ord, step) AS v USING (ord, step)
      WHERE c.n IS DISTINCT FROM v.n OR v.top <> v.n""",
    "disagreeing: reused critiques counted and stored": """
      SELECT r.ord, 'solution ' || r.ord AS example FROM {scores} AS r
      LEFT JOIN (SELECT ord, count(*) AS n FROM {verdicts} WHERE reused GROUP BY ord) AS v USING (ord)
      WHERE coalesce((SELECT sum(u) FROM unnest(r.reused_per_step) AS u), 0) <> coalesce(v.n, 0)""",
    "missing: critique texts that the job keeps": """
      SELECT r.ord, 'solution ' || r.ord AS example FROM {scores} AS r JOIN jobs AS j ON j.id = :job
      WHERE j.keep_critiques <> 'none' AND NOT EXISTS (SELECT 1 FROM {critiques} AS c WHERE c.ord = r.ord) AND EXISTS (
        SELECT 1 FROM {verdicts} AS v WHERE v.ord = r.ord GROUP BY v.step
        HAVING j.keep_critiques = 'all' OR j.keep_critiques = 'disputed'
          AND (count(DISTINCT v.verdict) > 1 OR bool_or(v.verdict NOT IN ('yes', 'no'))))""",
    "disagreeing: rewards that are not the mean of their critiques": """
      SELECT r.ord, 'solution ' || r.ord || ' step ' || u.step AS example
      FROM {scores} AS r CROSS JOIN unnest(r.rewards) WITH ORDINALITY AS u (reward, step)
      LEFT JOIN (SELECT ord, step + 1 AS step, count(*) AS n,
                        sum(coalesce(p_yes, CASE verdict WHEN 'yes' THEN 1.0 ELSE 0.0 END)) AS total
                 FROM {verdicts} WHERE verdict IN ('yes', 'no') GROUP BY ord, step) AS v USING (ord, step)
      -- In a cascade the screen's score counts as some critiques more.
      LEFT JOIN {solutions} AS s ON s.ord = r.ord AND :weight > 0
      CROSS JOIN LATERAL (SELECT
        CASE WHEN r.critiques_per_step[u.step] IS NULL THEN NULL
             WHEN s.screen[u.step] IS NULL THEN v.total / v.n
             ELSE (coalesce(v.total, 0) + :weight * s.screen[u.step]) / (coalesce(v.n, 0) + :weight) END AS mean) AS m
      WHERE (u.reward IS NULL) <> (m.mean IS NULL) OR abs(u.reward - m.mean) > 1e-9""",
    "disagreeing: first errors that do not follow from the rewards": """
      SELECT r.ord, 'solution ' || r.ord AS example FROM {scores} AS r
      LEFT JOIN (SELECT ord, min(u.step) - 1 AS first FROM {scores}
                 CROSS JOIN unnest(rewards) WITH ORDINALITY AS u (reward, step)
                 WHERE u.reward < :threshold GROUP BY ord) AS wrong USING (ord)
      WHERE r.first_error IS DISTINCT FROM CASE WHEN r.status = 'ok' THEN coalesce(wrong.first, -1) END""",
    "orphaned: outcomes without a solution": """
      SELECT r.ord, 'solution ' || r.ord AS example FROM {scores} AS r
      WHERE NOT EXISTS (SELECT 1 FROM {solutions} AS s WHERE s.ord = r.ord)""",
    "stale: outcomes written by an attempt that never held the shard": """
      SELECT r.ord, 'solution ' || r.ord AS example FROM {scores} AS r
      LEFT JOIN shards AS h ON h.id = r.shard_id AND h.job_id = :job
      WHERE h.id IS NULL OR r.attempt > h.attempt OR r.attempt < 1""",
}

# The same of jobs that write.
_WRITTEN_CHECKS: Mapping[str, str] = {
    "missing: solutions called written without their text": """
      SELECT r.ord, s.ext_id AS example FROM {scores} AS r JOIN {solutions} AS s USING (ord)
      LEFT JOIN {responses} AS w USING (ord)
      WHERE r.status = 'ok' AND (w.finish IS NULL OR jsonb_array_length(w.steps) = 0)""",
    "orphaned: written solutions without an outcome": """
      SELECT w.ord, 'solution ' || w.ord AS example FROM {responses} AS w
      WHERE w.finish IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM {scores} AS r WHERE r.ord = w.ord AND r.status = 'ok')""",
    "disagreeing: steps of a search and their rewards": """
      SELECT w.ord, 'solution ' || w.ord AS example FROM {responses} AS w
      WHERE w.rewards IS NOT NULL AND cardinality(w.rewards) <> jsonb_array_length(w.steps)""",
}


# In their places, of critics: each critique has a row for every step that it says something of, the first one always.
_WHOLE_CHECKS: Mapping[str, str] = {
    "missing: steps with fewer critiques than the recipe asks for": """
      SELECT r.ord, s.ext_id AS example FROM {scores} AS r JOIN {solutions} AS s USING (ord)
      WHERE r.status = 'ok' AND r.reason IS NULL AND r.critiques_per_step[1] < :k AND :fixed""",
    "disagreeing: critiques counted and critiques stored": """
      SELECT ord, 'solution ' || ord || ' step ' || step AS example
      FROM (SELECT r.ord, u.step::int AS step, u.n FROM {scores} AS r
            CROSS JOIN unnest(r.critiques_per_step) WITH ORDINALITY AS u (n, step) WHERE u.n > 0) AS c
      FULL JOIN (SELECT ord, step::int + 1 AS step, count(*) AS n FROM {verdicts} GROUP BY ord, step) AS v
        USING (ord, step)
      WHERE c.n IS DISTINCT FROM v.n""",
}


def outcome_checks(recipe: Recipe) -> Mapping[str, str]:
    """The checks about single outcomes that a job of this recipe is held to."""
    if recipe.generation_config is not None:
        return {**OUTCOME_CHECKS, **_WRITTEN_CHECKS}
    family = recipe.judge_family
    checks = {**OUTCOME_CHECKS, **_WHOLE_CHECKS} if isinstance(family, CriticFamily) else dict(OUTCOME_CHECKS)
    if isinstance(family, CriticFamily):
        # Steps behind the one that every critique names are not judged.
        del checks["disagreeing: steps that were judged and steps to be judged"]
    if family.votes_for_first_error:
        del checks["disagreeing: first errors that do not follow from the rewards"]
    return checks


# About the job, its shards and its rows: a line with an `example` for every fault.
_CHECKS: Mapping[str, str] = {
    "missing: solutions that the job was taken in with": """
      SELECT 'of ' || j.n_solutions || ' there are ' || s.n AS example
      FROM jobs AS j, (
        SELECT count(*) AS n, coalesce(sum(coalesce(cardinality(judge_steps), n_steps)), 0) AS steps
        FROM {solutions}) AS s
      WHERE j.id = :job AND (j.n_solutions <> s.n OR j.n_steps <> s.steps)""",
    # The gaps between shards first: a join of solutions with the ranges of shards compares each with each.
    "missing: solutions in no shard": """
      WITH ranges AS (
        SELECT first_ord, last_ord, max(last_ord) OVER earlier AS reached FROM shards WHERE job_id = :job
        WINDOW earlier AS (ORDER BY first_ord, id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)),
      gaps AS (
        SELECT coalesce(reached, -1) AS after, first_ord AS before FROM ranges
        UNION ALL SELECT coalesce(max(last_ord), -1), 2147483647 FROM ranges)
      SELECT s.ext_id AS example FROM gaps JOIN {solutions} AS s ON s.ord > gaps.after AND s.ord < gaps.before
      WHERE gaps.before > gaps.after + 1""",
    # The outcomes first: only a solution without one, or with one of before an extension, needs its shard.
    "missing: solutions of finished shards without an outcome": """
      SELECT s.ext_id AS example FROM {solutions} AS s LEFT JOIN {scores} AS r USING (ord)
      CROSS JOIN LATERAL (
        SELECT state, extension, last_ord FROM shards WHERE job_id = :job AND first_ord <= s.ord
        ORDER BY first_ord DESC LIMIT 1) AS h
      WHERE (r.ord IS NULL OR r.extension < (SELECT max(extension) FROM shards WHERE job_id = :job))
        AND h.state = 'done' AND h.last_ord >= s.ord AND (r.ord IS NULL OR r.extension < h.extension)""",
    "doubled: solutions in two shards": """
      SELECT 'shard ' || id AS example FROM (
        SELECT id, first_ord, max(last_ord) OVER earlier AS reached FROM shards WHERE job_id = :job
        WINDOW earlier AS (ORDER BY first_ord, id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS h
      WHERE first_ord <= reached""",
    "disagreeing: shards whose counters are not the number of their outcomes": """
      SELECT 'shard ' || h.id AS example FROM shards AS h
      LEFT JOIN {scores} AS r ON r.shard_id = h.id AND r.extension = h.extension
      WHERE h.job_id = :job GROUP BY h.id
      HAVING (h.n_ok, h.n_failed, h.n_quarantined, h.steps_done) <>
        (count(*) FILTER (WHERE r.status = 'ok'), count(*) FILTER (WHERE r.status = 'failed'),
         count(*) FILTER (WHERE r.status = 'quarantined'),
         coalesce(sum(cardinality(array_remove(r.critiques_per_step, NULL))), 0))""",
    "orphaned: critique texts without an outcome": """
      SELECT 'solution ' || c.ord AS example FROM {critiques} AS c
      WHERE NOT EXISTS (SELECT 1 FROM {scores} AS r WHERE r.ord = c.ord)""",
    "stale: leases long past their end": """
      SELECT 'shard ' || id || ' of ' || owner AS example FROM shards
      WHERE job_id = :job AND state = 'leased' AND lease_until < now() - make_interval(secs => :overdue)""",
    "stale: shards that the interrupted cancellation of an extension left": """
      SELECT 'shard ' || h.id AS example FROM shards AS h JOIN jobs AS j ON j.id = h.job_id
      WHERE j.id = :job AND j.cancelled_at IS NULL AND (h.state = 'cancelled'
        -- Such a job has its earlier K again, and shards that the extension had not even reopened.
        OR j.extension @> jsonb_build_object('running', TRUE, 'previous_k', j.recipe -> 'k')
          AND h.extension < (j.extension ->> 'generation')::int)""",
    "stale: live shards of a cancelled job": """
      SELECT 'shard ' || h.id AS example FROM shards AS h JOIN jobs AS j ON j.id = h.job_id
      WHERE j.id = :job AND j.cancelled_at IS NOT NULL AND h.state IN ('ready', 'leased')""",
}

_SET_ROWS = """
      SELECT t.kind || ' ' || t.name || ': solution ' || r.ord || ' step ' || r.step + 1 AS example
      FROM training_set_jobs AS u JOIN training_sets AS t ON t.id = u.set_id
      JOIN training_rows AS r ON r.set_id = u.set_id AND r.job_id = u.job_id
      LEFT JOIN {critiques} AS c ON c.ord = r.ord
      LEFT JOIN {verdicts} AS v ON (v.ord, v.step, v.k) = (r.ord, r.step, r.chosen)
      LEFT JOIN {verdicts} AS w ON (w.ord, w.step, w.k) = (r.ord, r.step, r.rejected)"""
# About training sets that have rows from the job. Judging again makes other critiques than those a set was built of, so
# nothing of this is repaired: the set must be deleted and built again.
SET_CHECKS: Mapping[str, str] = {
    "orphaned: rows of training sets whose critiques are gone": f"""{_SET_ROWS}
      WHERE u.job_id = :job AND (c.ord IS NULL OR v.k IS NULL OR r.rejected IS NOT NULL AND w.k IS NULL)""",
    "disagreeing: rows of training sets and the verdicts of their critiques": f"""{_SET_ROWS}
      WHERE u.job_id = :job AND (v.verdict <> CASE WHEN r.correct THEN 'yes' ELSE 'no' END
        OR w.verdict <> CASE WHEN r.correct THEN 'no' ELSE 'yes' END)""",
    "missing: rows that a training set was built with": """
      SELECT t.kind || ' ' || t.name || ': of ' || t.n_train + t.n_validation || ' there are ' || r.n AS example
      FROM training_set_jobs AS u JOIN training_sets AS t ON t.id = u.set_id
      CROSS JOIN LATERAL (SELECT count(*) AS n FROM training_rows WHERE set_id = t.id) AS r
      WHERE u.job_id = :job AND r.n <> t.n_train + t.n_validation""",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One check that found something: how often, and the first few places."""

    check: str
    count: int
    examples: tuple[str, ...]


def audit(connection: Connection, job: Job) -> list[Finding]:
    """Run every check on the job; an empty list is a clean audit."""
    findings = []
    for check, query in {**_CHECKS, **SET_CHECKS, **outcome_checks(job.recipe)}.items():
        statement, values = filled(query, job)
        # Materialised: with a LIMIT on it the planner would look for the first few faults, and mostly there is none.
        rows = connection.execute(
            text(
                f"WITH faults AS MATERIALIZED ({statement})"
                f" SELECT example, count(*) OVER () AS n FROM faults ORDER BY 1 LIMIT {_EXAMPLES}"
            ),
            values,
        ).all()
        if rows:
            findings.append(Finding(check, rows[0].n, tuple(row.example for row in rows)))
    return sorted(findings, key=lambda finding: finding.check)


def sets_broken(connection: Connection, job: Job) -> bool:
    """Whether a training set refers to critiques of the job that no longer exist or have changed."""
    queries = (filled(query, job) for query in SET_CHECKS.values())
    return any(
        connection.execute(
            text(f"WITH faults AS MATERIALIZED ({statement}) SELECT 1 FROM faults LIMIT 1"), values
        ).first()
        for statement, values in queries
    )


def filled(query: str, job: Job) -> tuple[str, dict[str, Any]]:
    """A check's query on the job's partitions, and the values that it takes."""
    recipe = job.recipe
    names = {name: partition(name, job.id) for name in ("solutions", "scores", "verdicts", "critiques", "responses")}
    values = {
        "job": job.id,
        "k": recipe.k,
        "most": recipe.k if job.extension is None else max(recipe.k, job.extension.most_k),
        "fixed": recipe.stopping["kind"] == "fixed",
        "planned": recipe.is_planned,
        "threshold": recipe.threshold,
        "until": recipe.until_first_error,
        "weight": recipe.screen_weight,
        "overdue": _OVERDUE_S,
    }
    used = {name: value for name, value in values.items() if f":{name}" in query.replace("::", "")}
    return query.format(**names), used
