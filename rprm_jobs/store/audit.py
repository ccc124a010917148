"""Questions whose every answer must be zero: what a job should hold and does not, holds twice, or holds wrongly.

The recipe and the shards say what must exist. While a job runs only its finished shards are held to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.store.partitions import partition

_EXAMPLES = 5
# A lease this long past its end should have been swept by any living worker.
_OVERDUE_S = 60

# Each yields one column, `example`, with a line for every fault. {solutions} and the like are the job's partitions.
_CHECKS: Mapping[str, str] = {
    "missing: solutions that the job was taken in with": """
      SELECT 'of ' || j.n_solutions || ' there are ' || s.n AS example
      FROM jobs AS j, (
        SELECT count(*) AS n, coalesce(sum(coalesce(cardinality(judge_steps), n_steps)), 0) AS steps
        FROM {solutions}) AS s
      WHERE j.id = :job AND (j.n_solutions <> s.n OR j.n_steps <> s.steps)""",
    "missing: solutions in no shard": """
      SELECT s.ext_id AS example FROM {solutions} AS s
      LEFT JOIN (SELECT ord FROM shards, generate_series(first_ord, last_ord) AS ord WHERE job_id = :job) AS covered
        USING (ord) WHERE covered.ord IS NULL""",
    "missing: solutions of finished shards without an outcome": """
      SELECT s.ext_id AS example FROM {solutions} AS s
      JOIN shards AS h ON h.job_id = :job AND h.state = 'done' AND s.ord BETWEEN h.first_ord AND h.last_ord
      WHERE NOT EXISTS (SELECT 1 FROM {scores} AS r WHERE r.ord = s.ord)""",
    "missing: steps with fewer critiques than the recipe asks for": """
      SELECT s.ext_id || ' step ' || c.step AS example
      FROM {scores} AS r JOIN {solutions} AS s USING (ord)
      CROSS JOIN unnest(r.critiques_per_step) WITH ORDINALITY AS c (n, step)
      WHERE r.status = 'ok' AND c.n < :k AND :fixed""",
    "missing: steps without a reward in a solution called ok": """
      SELECT s.ext_id AS example FROM {scores} AS r JOIN {solutions} AS s USING (ord)
      WHERE r.status = 'ok' AND (cardinality(r.rewards) <> s.n_steps OR CASE
        WHEN s.judge_steps IS NULL THEN array_position(r.rewards, NULL) IS NOT NULL
        ELSE EXISTS (SELECT 1 FROM unnest(s.judge_steps) AS step WHERE r.rewards[step + 1] IS NULL) END)""",
    "disagreeing: steps that were judged and steps to be judged": """
      SELECT s.ext_id AS example FROM {scores} AS r JOIN {solutions} AS s USING (ord)
      WHERE CASE WHEN s.judge_steps IS NULL THEN array_position(r.critiques_per_step, NULL) IS NOT NULL
            ELSE s.judge_steps <> ARRAY(SELECT (u.step - 1)::smallint FROM unnest(r.critiques_per_step)
                                        WITH ORDINALITY AS u (n, step) WHERE u.n IS NOT NULL ORDER BY 1) END""",
    "missing: failed solutions without a reason": """
      SELECT s.ext_id AS example FROM {scores} AS r JOIN {solutions} AS s USING (ord)
      WHERE r.status <> 'ok' AND coalesce(r.reason, '') = ''""",
    "doubled: solutions in two shards": """
      SELECT 'shard ' || id AS example FROM (
        SELECT id, first_ord, max(last_ord) OVER earlier AS reached FROM shards WHERE job_id = :job
        WINDOW earlier AS (ORDER BY first_ord, id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS h
      WHERE first_ord <= reached""",
    "doubled: more critiques of a step than the recipe asks for": """
      SELECT 'solution ' || ord || ' step ' || step + 1 AS example FROM {verdicts} WHERE k >= :k
      GROUP BY ord, step""",
    "disagreeing: critiques counted and critiques stored": """
      SELECT 'solution ' || coalesce(c.ord, v.ord) || ' step ' || coalesce(c.step, v.step) AS example
      FROM (SELECT r.ord, u.step::int AS step, u.n FROM {scores} AS r
            CROSS JOIN unnest(r.critiques_per_step) WITH ORDINALITY AS u (n, step) WHERE u.n > 0) AS c
      FULL JOIN (SELECT ord, step::int + 1 AS step, count(*) AS n, max(k) + 1 AS top FROM {verdicts}
                 GROUP BY ord, step) AS v USING (ord, step)
      WHERE c.n IS DISTINCT FROM v.n OR v.top <> v.n""",
    "disagreeing: rewards that are not the mean of their critiques": """
      SELECT 'solution ' || r.ord || ' step ' || u.step AS example
      FROM {scores} AS r CROSS JOIN unnest(r.rewards) WITH ORDINALITY AS u (reward, step)
      LEFT JOIN (SELECT ord, step + 1 AS step,
                        avg(coalesce(p_yes, CASE verdict WHEN 'yes' THEN 1.0 ELSE 0.0 END)) AS mean
                 FROM {verdicts} WHERE verdict IN ('yes', 'no') GROUP BY ord, step) AS v USING (ord, step)
      WHERE (u.reward IS NULL) <> (v.mean IS NULL) OR abs(u.reward - v.mean) > 1e-9""",
    "disagreeing: first errors that do not follow from the rewards": """
      SELECT 'solution ' || r.ord AS example FROM {scores} AS r
      LEFT JOIN (SELECT ord, min(u.step) - 1 AS first FROM {scores}
                 CROSS JOIN unnest(rewards) WITH ORDINALITY AS u (reward, step)
                 WHERE u.reward < :threshold GROUP BY ord) AS wrong USING (ord)
      WHERE r.first_error IS DISTINCT FROM CASE WHEN r.status = 'ok' THEN coalesce(wrong.first, -1) END""",
    "disagreeing: shards whose counters are not the number of their outcomes": """
      SELECT 'shard ' || h.id AS example FROM shards AS h
      LEFT JOIN {scores} AS r ON r.shard_id = h.id
      WHERE h.job_id = :job GROUP BY h.id
      HAVING (h.n_ok, h.n_failed, h.n_quarantined, h.steps_done) <>
        (count(*) FILTER (WHERE r.status = 'ok'), count(*) FILTER (WHERE r.status = 'failed'),
         count(*) FILTER (WHERE r.status = 'quarantined'),
         coalesce(sum(cardinality(array_remove(r.critiques_per_step, NULL))), 0))""",
    "orphaned: outcomes without a solution": """
      SELECT 'solution ' || r.ord AS example FROM {scores} AS r
      WHERE NOT EXISTS (SELECT 1 FROM {solutions} AS s WHERE s.ord = r.ord)""",
    "orphaned: critique texts without an outcome": """
      SELECT 'solution ' || c.ord AS example FROM {critiques} AS c
      WHERE NOT EXISTS (SELECT 1 FROM {scores} AS r WHERE r.ord = c.ord)""",
    "stale: outcomes written by an attempt that never held the shard": """
      SELECT 'solution ' || r.ord AS example FROM {scores} AS r
      LEFT JOIN shards AS h ON h.id = r.shard_id AND h.job_id = :job
      WHERE h.id IS NULL OR r.attempt > h.attempt OR r.attempt < 1""",
    "stale: leases long past their end": """
      SELECT 'shard ' || id || ' of ' || owner AS example FROM shards
      WHERE job_id = :job AND state = 'leased' AND lease_until < now() - make_interval(secs => :overdue)""",
    "stale: live shards of a cancelled job": """
      SELECT 'shard ' || h.id AS example FROM shards AS h JOIN jobs AS j ON j.id = h.job_id
      WHERE j.id = :job AND j.cancelled_at IS NOT NULL AND h.state IN ('ready', 'leased')""",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One check that found something: how often, and the first few places."""

    check: str
    count: int
    examples: tuple[str, ...]


def audit(connection: Connection, job_id: int, *, k: int, fixed: bool, threshold: float) -> list[Finding]:
    """Run every check on the job; an empty list is a clean audit. `fixed`: every step must have all `k` critiques."""
    names = {name: partition(name, job_id) for name in ("solutions", "scores", "verdicts", "critiques")}
    values = {"job": job_id, "k": k, "fixed": fixed, "threshold": threshold, "overdue": _OVERDUE_S}
    findings = []
    for check, query in _CHECKS.items():
        statement = text(
            f"SELECT example, count(*) OVER () AS n FROM ({query.format(**names)}) AS f ORDER BY 1 LIMIT {_EXAMPLES}"
        )
        used = {name: value for name, value in values.items() if f":{name}" in query.replace("::", "")}
        rows = connection.execute(statement, used).all()
        if rows:
            findings.append(Finding(check, rows[0].n, tuple(row.example for row in rows)))
    return findings
