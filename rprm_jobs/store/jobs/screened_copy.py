"""The solutions of a job that screened them, copied for the judge that comes after: with what the screen said."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.store.schema.partitions import partition

_COLUMNS = "ord, ext_id, problem, steps, n_steps, label, step_labels, metadata, source, line, judge_steps"
# Piecewise linear between the bounds; without a bound the logistic function of the distance to the threshold.
_P_CORRECT = """
    CASE WHEN r < :threshold THEN
           CASE WHEN CAST(:lowest AS float8) IS NULL THEN 1 / (1 + exp(least(:threshold - r, 500)))
                WHEN :threshold > :lowest THEN 0.5 * (r - :lowest) / (:threshold - :lowest) ELSE 0 END
         WHEN r >= :threshold THEN
           CASE WHEN CAST(:highest AS float8) IS NULL THEN 1 / (1 + exp(greatest(:threshold - r, -500)))
                WHEN :highest > :threshold THEN 0.5 + 0.5 * (r - :threshold) / (:highest - :threshold) ELSE 1 END
    END"""


@dataclass(frozen=True, slots=True)
class ScreenScale:
    """How a screen's rewards become P(correct): `threshold` is 0.5, `lowest` 0 and `highest` 1 (None: no bound)."""

    threshold: float
    lowest: float | None
    highest: float | None


def copy_screened(
    connection: Connection, source_id: int, target_id: int, *, first: int, last: int, scale: ScreenScale
) -> Any:
    """Copy the solutions with first <= ord <= last as they are; those that the screen failed on have no scores.

    A row of: `solutions` and `steps` copied, and `top`, the last ord of the source.
    """
    rows, scores = (partition(name, source_id) for name in ("solutions", "scores"))
    query = text(
        f"""
        WITH copied AS (
          INSERT INTO {partition("solutions", target_id)} (job_id, {_COLUMNS}, screen)
          SELECT :job, {_COLUMNS},
                 (SELECT array_agg({_P_CORRECT} ORDER BY n) FROM unnest(c.rewards) WITH ORDINALITY AS u (r, n))
          FROM {rows} AS s LEFT JOIN (SELECT ord, rewards FROM {scores} WHERE ord BETWEEN :first AND :last) AS c
            USING (ord)
          WHERE s.ord BETWEEN :first AND :last
          RETURNING coalesce(cardinality(judge_steps), n_steps) AS steps)
        SELECT count(*) AS solutions, coalesce(sum(steps), 0) AS steps, (SELECT max(ord) FROM {rows}) AS top
        FROM copied"""
    )
    return connection.execute(query, {"job": target_id, "first": first, "last": last, **asdict(scale)}).one()
