"""One sweep: settle lapsed leases, notify workers of ready shards. Any worker may be the sweeper."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rprm_jobs.crash import crash_point
from rprm_jobs.errors import BrokerError
from rprm_jobs.store.queue import failures, workers
from rprm_jobs.store.session import Database

if TYPE_CHECKING:
    from rprm_jobs.broker import Notifier
    from rprm_jobs.services.context import Context

_log = logging.getLogger(__name__)
_NOTIFY_AGAIN_S = 30.0
_FIRST_NOTIFICATIONS = 8


def sweep(database: Database, *, after_start_s: float = 0.0) -> list[failures.Settlement]:
    """Settle every shard whose lease has run out; each in a transaction of its own.

    Not within `after_start_s` seconds of Postgres's start: an outage must not count as the failure of all that was
    being judged, for two of them would end in quarantine.
    """
    with database.transaction() as connection:
        if not workers.try_sweep_lock(connection):
            return []
        ids = failures.lapsed(connection, after_start_s=after_start_s)
        workers.forget_silent(connection)
    settled = []
    for shard_id in ids:
        with database.transaction() as connection:
            verdict = failures.fail_lapsed(connection, shard_id)
            crash_point("sweep.before-commit")
        if verdict is not None:
            about = {"job": verdict.job_id, "shard": verdict.shard_id}
            _log.warning("the shard's worker fell silent, the shard is %s", verdict.outcome, extra=about)
            settled.append(verdict)
    return settled


def notify_waiting(database: Database, notifier: Notifier) -> int:
    """Top every served queue up to twice its slots; returns the number of messages sent.

    An unreachable Redis is logged and does no harm: idle workers claim from Postgres by themselves.
    """
    with database.transaction() as connection:
        if not workers.try_sweep_lock(connection):
            return 0
        queues = workers.waiting_queues(connection)
    sent = 0
    for queue, slots in queues.items():
        try:
            sent += notify(database, notifier, queue, upto=2 * slots)
        except BrokerError as error:
            _log.warning("workers were not notified: %s", error.what)
    return sent


def notify_first(context: Context, queue: str) -> None:
    """Notify workers of work that was just stored; without Redis idle workers find it too, only later.

    Without a worker nobody is notified, and the libraries of the broker are not loaded: a worker that starts looks into
    the store first.
    """
    with context.database.transaction() as connection:
        if not workers.alive(connection, queue):
            return
    try:
        notify(context.database, context.notifier, queue, upto=_FIRST_NOTIFICATIONS)
    except BrokerError as error:
        _log.warning("stored, but workers were not notified (idle ones find it by themselves): %s", error.what)


def notify(database: Database, notifier: Notifier, queue: str, *, upto: int) -> int:
    """Notify workers of the queue's most urgent ready shards until `upto` messages wait in it. Raises BrokerError."""
    room = upto - notifier.depth(queue)
    if room <= 0:
        return 0
    with database.transaction() as connection:
        ready = workers.to_notify(connection, queue, limit=room, again_after_s=_NOTIFY_AGAIN_S)
    return notifier.notify(queue, [shard.shard_id for shard in ready])
