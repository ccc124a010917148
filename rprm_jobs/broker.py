"""Notifications: Celery on Redis, the only sender of messages, and every Celery setting with its reason.

A message is `{"v": 1, "shard_id": n}` and says "there is work in this queue". It may be lost, doubled or late at no
cost but a delay: shards are claimed in Postgres, and an idle worker looks there by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import redis
from celery import Celery
from kombu.exceptions import KombuError
from redis.backoff import NoBackoff
from redis.retry import Retry

from rprm_jobs.errors import BrokerError
from rprm_jobs.settings import check_redis_url, mask_url

MESSAGE_VERSION = 1
JUDGE_SHARD = "workers.judge_shard"

# One call to a Redis that does not answer takes seconds at most, not the kernel's minutes.
_TRANSPORT = {
    "health_check_interval": 10,
    "socket_timeout": 10,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
}
# A notification is not worth a wait of six seconds, which is what kombu gives a Redis that is away: sweeps come again.
_SENDER_TRANSPORT = {**_TRANSPORT, "max_retries": 1, "interval_start": 0.0, "interval_step": 0.1}
_SETTINGS: dict[str, Any] = {
    # Messages hold ids as JSON: nothing is unpickled, and nothing is large.
    "task_serializer": "json",
    "accept_content": ["json"],
    # Outcomes are in Postgres; a second copy in Redis could only disagree with it.
    "task_ignore_result": True,
    "result_backend": None,
    # Leases bring work back, so late acknowledgement would add nothing; it has wedged workers after a MemoryError and
    # delivered one task several times at once.
    "task_acks_late": False,
    # A busy worker must not keep messages in its memory: no other worker would see them.
    "worker_disable_prefetch": True,
    "worker_prefetch_multiplier": 1,
    # Long tasks are normal here; only leases say that a worker is gone.
    "task_time_limit": None,
    # Gossip, mingle, events and remote control are traffic and failure modes that nothing here uses.
    "worker_enable_remote_control": False,
    "worker_send_task_events": False,
    "worker_hijack_root_logger": False,
    # A worker that starts before Redis, or outlives it, keeps trying: it works from Postgres meanwhile.
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_transport_options": _TRANSPORT,
    "task_create_missing_queues": True,
    "task_default_delivery_mode": "transient",
}


def make_app(redis_url: str) -> Celery:
    """The Celery application for this broker. Raises ConfigError when the URL is not a Redis URL."""
    check_redis_url(redis_url)
    app = Celery("rprm_jobs", broker=redis_url, set_as_current=False)
    app.conf.update(_SETTINGS)
    return app


class Notifier:
    """Tells workers that a queue has work. A call takes seconds at most; BrokerError when Redis does not answer."""

    def __init__(self, redis_url: str) -> None:
        self.url = redis_url
        self._app = make_app(redis_url)
        self._app.conf.broker_transport_options = _SENDER_TRANSPORT
        # The library's own retries make one call to a silent server last a minute; the sweeper comes again anyway.
        self._redis = redis.Redis.from_url(
            redis_url,
            socket_timeout=5,
            socket_connect_timeout=5,
            health_check_interval=10,
            retry=Retry(NoBackoff(), retries=0),
        )

    def notify(self, queue: str, shard_ids: Iterable[int]) -> int:
        """Send one message a shard; returns how many were sent."""
        sent = 0
        try:
            with self._app.producer_pool.acquire(block=True, timeout=10) as producer:
                for shard_id in shard_ids:
                    self._app.send_task(
                        JUDGE_SHARD,
                        kwargs={"message": {"v": MESSAGE_VERSION, "shard_id": shard_id}},
                        queue=queue,
                        producer=producer,
                        retry=False,
                    )
                    sent += 1
        except (redis.RedisError, KombuError, OSError) as error:
            raise self._failed(error) from error
        return sent

    def depth(self, queue: str) -> int:
        """How many messages wait in the queue."""
        try:
            return int(self._redis.llen(queue))
        except (redis.RedisError, OSError) as error:
            raise self._failed(error) from error

    def ping(self) -> str:
        """The server's version, for `doctor`."""
        try:
            return str(self._redis.info("server")["redis_version"])
        except (redis.RedisError, OSError) as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Close all connections."""
        self._redis.close()
        self._app.close()

    def _failed(self, error: Exception) -> BrokerError:
        logging.getLogger(__name__).debug("redis call failed", exc_info=error)
        reason = (str(error) or type(error).__name__).splitlines()[0]
        return BrokerError(f"Redis: {reason}", where=mask_url(self.url), hint="check that it runs: rprm-jobs doctor")
