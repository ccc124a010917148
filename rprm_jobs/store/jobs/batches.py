"""Changes of a whole job in batches of shards, each in a short transaction that locks the job.

A batch covers a range of `ord`, so its statements go along primary keys: the work grows with the job and never with its
square. A command that is killed between two batches is given again and goes on, since it passes over what is done.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.engine import Connection

SHARDS = 256


@dataclass(frozen=True, slots=True)
class Batch:
    """Some shards of a job, locked, by ascending solutions: rows of id, state, extension, first_ord and last_ord."""

    shards: Sequence[Row[Any]]

    @property
    def ids(self) -> list[int]:
        """The shards' ids."""
        return [shard.id for shard in self.shards]

    @property
    def range(self) -> dict[str, int]:
        """The `first` and `last` ord; shards that are not of the batch may lie between them."""
        return {"first": self.shards[0].first_ord, "last": max(shard.last_ord for shard in self.shards)}

    def holders(self, ords: Iterable[int]) -> dict[int, list[int]]:
        """Those of the ascending `ords` that lie in the batch's shards, by shard."""
        holders: dict[int, list[int]] = defaultdict(list)
        shards = iter(self.shards)
        shard = next(shards, None)
        for ord_ in ords:
            while shard is not None and shard.last_ord < ord_:
                shard = next(shards, None)
            if shard is not None and shard.first_ord <= ord_:
                holders[shard.id].append(ord_)
        return holders


def next_batch(connection: Connection, job_id: int, after: int, where: str = "TRUE", **values: Any) -> Batch | None:
    """Lock the next shards whose first ord is greater than `after` and of which `where` is true; None after the last.

    `where` is SQL about a row of `shards`. The caller has locked the job.
    """
    query = text(
        "SELECT id, state, extension, first_ord, last_ord FROM shards"
        f" WHERE job_id = :job AND first_ord > :after AND ({where}) ORDER BY first_ord LIMIT {SHARDS} FOR UPDATE"
    )
    shards = connection.execute(query, {"job": job_id, "after": after, **values}).all()
    return Batch(shards) if shards else None


def add_counts(connection: Connection, changes: Iterable[tuple[int, int, int, int, int]]) -> None:
    """Add (shard id, ok, failed, quarantined, steps) to the counters of the shards that recorded the outcomes."""
    sums: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for shard_id, *counts in changes:
        sums[shard_id] = [a + b for a, b in zip(sums[shard_id], counts, strict=True)]
    if not sums:
        return
    query = text(
        """
        UPDATE shards AS s SET n_ok = n_ok + c.ok, n_failed = n_failed + c.failed,
               n_quarantined = n_quarantined + c.quarantined, steps_done = steps_done + c.steps
        FROM unnest(CAST(:ids AS bigint[]), CAST(:ok AS int[]), CAST(:failed AS int[]), CAST(:quarantined AS int[]),
                    CAST(:steps AS int[])) AS c (id, ok, failed, quarantined, steps)
        WHERE s.id = c.id AND s.id = ANY(:ids)"""
    )
    ok, failed, quarantined, steps = zip(*sums.values(), strict=True)
    values = {"ok": list(ok), "failed": list(failed), "quarantined": list(quarantined), "steps": list(steps)}
    connection.execute(query, {"ids": list(sums), **values})
