"""Rewards from before an extension that stand, because the solution could not be judged on."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.store.schema.partitions import partition

NOT_EXTENDED = "not extended: "
# Reasons of attempts that crashed begin so (rprm_jobs.store.queue.failures): the next extension leaves these alone.
CRASHED = f"{NOT_EXTENDED}attempt "
_MAX_CHARS = 2000


def keep_earlier(
    connection: Connection, job_id: int, reasons: Mapping[int, str], *, shard_id: int, attempt: int, generation: int
) -> dict[int, int]:
    """Let the rewards of these solutions (`reasons` by ord) stand as outcomes of this generation, with the reasons.

    Returns the judged steps by ord; solutions without a reward are not in it, and stay as they are.
    """
    query = text(
        f"""
        UPDATE {partition("scores", job_id)} AS r
        SET extension = :generation, shard_id = :shard, attempt = :attempt, reason = kept.reason
        FROM unnest(CAST(:ords AS int[]), CAST(:reasons AS text[])) AS kept (ord, reason)
        WHERE r.ord = kept.ord AND r.ord = ANY(:ords) AND r.status = 'ok' AND r.extension < :generation
        RETURNING r.ord, cardinality(array_remove(r.critiques_per_step, NULL)) AS steps"""
    )
    values = {
        "ords": list(reasons),
        "reasons": [f"{NOT_EXTENDED}{reason}"[:_MAX_CHARS] for reason in reasons.values()],
        "shard": shard_id,
        "attempt": attempt,
        "generation": generation,
    }
    return {row.ord: row.steps for row in connection.execute(query, values)}
