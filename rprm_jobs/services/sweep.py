"""The sweeper's round: settle lapsed leases, ring for ready shards. Any worker may be the sweeper."""

from __future__ import annotations

import logging

from rprm_jobs.broker import Bell
from rprm_jobs.crash import crash_point
from rprm_jobs.errors import BrokerError
from rprm_jobs.store import failures, presence
from rprm_jobs.store.session import Database

_log = logging.getLogger(__name__)
_RING_AGAIN_S = 30.0
_FIRST_BELLS = 8


def sweep(database: Database, *, after_start_s: float = 0.0) -> list[failures.Settlement]:
    """Settle every shard whose lease has run out; each in a transaction of its own.

    Not within `after_start_s` seconds of Postgres's start: an outage must not count as the failure of all that was
    being judged, for two of them would end in quarantine.
    """
    with database.transaction() as connection:
        if not presence.try_sweep_lock(connection):
            return []
        ids = failures.lapsed(connection, after_start_s=after_start_s)
        presence.forget_silent(connection)
    settled = []
    for shard_id in ids:
        with database.transaction() as connection:
            verdict = failures.fail_lapsed(connection, shard_id)
            crash_point("sweep.before-commit")
        if verdict is not None:
            _log.warning("shard %d: its worker fell silent: %s", verdict.shard_id, verdict.outcome)
            settled.append(verdict)
    return settled


def ring_waiting(database: Database, bell: Bell) -> int:
    """Top every served queue up to twice its slots; returns the number of messages sent.

    Redis being away is logged and borne: idle workers claim from Postgres by themselves.
    """
    with database.transaction() as connection:
        if not presence.try_sweep_lock(connection):
            return 0
        queues = presence.waiting_queues(connection)
    sent = 0
    for queue, slots in queues.items():
        try:
            sent += ring(database, bell, queue, upto=2 * slots)
        except BrokerError as error:
            _log.warning("no bell was rung: %s", error.what)
    return sent


def ring_first(database: Database, bell: Bell, queue: str) -> None:
    """Ring for work that was just stored; without Redis the idle workers find it all the same, only later."""
    try:
        ring(database, bell, queue, upto=_FIRST_BELLS)
    except BrokerError as error:
        _log.warning("stored, but no bell was rung (idle workers will find it all the same): %s", error.what)


def ring(database: Database, bell: Bell, queue: str, *, upto: int) -> int:
    """Ring for the queue's most urgent ready shards until `upto` messages wait in it. Raises BrokerError."""
    room = upto - bell.depth(queue)
    if room <= 0:
        return 0
    with database.transaction() as connection:
        ready = presence.to_ring(connection, queue, limit=room, again_after_s=_RING_AGAIN_S)
    return bell.ring(queue, [shard.shard_id for shard in ready])
