"""Shards of workers that died: taken back at once where a death can be seen, without waiting for the lease to run out.

Two witnesses see deaths. A small process that outlives its worker notices that the worker's end of a pipe was closed
(`workers.witness`). And a worker that is alive holds a lock, which Postgres frees when the lock's connection ends. A
free lock alone proves nothing, since connections break under healthy workers: these show another lock, or none,
within a second. So only a worker that shows neither that nor a heartbeat for the whole grace period is taken for dead.

A worker that is taken for dead by mistake loses the work of seconds and nothing else: the fence refuses its writes, and
a shard is settled once however many see the death. A frozen worker keeps its connection, and so its shards for a lease.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from rprm_jobs.crash import crash_point
from rprm_jobs.store.queue import failures, workers
from rprm_jobs.store.session import Database

_log = logging.getLogger(__name__)
# A healthy worker looks twice a second whether its connection has ended; a busy machine may take ten times as long.
GRACE_S = 5.0


def settle_dead(database: Database, worker_id: str) -> list[failures.Settlement]:
    """Count an attempt of every shard that this dead worker held as failed, and remove its entry. Raises StoreError."""
    with database.transaction() as connection:
        shard_ids = failures.owned(connection, worker_id)
    settled = []
    for shard_id in shard_ids:
        with database.transaction() as connection:
            settlement = failures.fail_owned(connection, shard_id, worker_id)
            crash_point("death.before-commit")
        if settlement is not None:
            about = {"job": settlement.job_id, "shard": shard_id}
            _log.warning("the worker %s died: %s", worker_id, settlement.outcome, extra=about)
            settled.append(settlement)
    with database.transaction() as connection:
        workers.leave(connection, worker_id)
    return settled


def settle_vanished(
    database: Database, *, after_start_s: float = 0.0, sleep: Callable[[float], object] = time.sleep
) -> list[failures.Settlement]:
    """Settle the shards of workers whose lock is free and who show no sign of life for GRACE_S seconds.

    Not within `after_start_s` seconds of Postgres's start. Raises StoreError.
    """
    with database.transaction() as connection:
        before = workers.without_lock(connection, after_start_s=after_start_s)
    if not before:
        return []
    sleep(GRACE_S)
    with database.transaction() as connection:
        now = workers.without_lock(connection, after_start_s=after_start_s)
    dead = [worker_id for worker_id, seen in before.items() if now.get(worker_id) == seen]
    return [settlement for worker_id in dead for settlement in settle_dead(database, worker_id)]
