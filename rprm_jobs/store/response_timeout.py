"""A connection that gives up on a silent network: TCP's own timers do not see a proxy that swallows bytes.

Keepalives are answered by whoever stands between, so a worker behind one would wait for an answer for ever, with its
shards. Here every single wait for Postgres is bounded; what is given up is repeated on a new connection.
"""

from __future__ import annotations

from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa
from psycopg import errors as pg
from psycopg.abc import PQGen

T = TypeVar("T")
_CHECK_S = 0.1


def set_response_timeout(engine: sa.Engine, response_timeout_s: float) -> None:
    """Make the engine's connections break off, as a dead network does, when one answer takes longer than this."""

    class Connection(psycopg.Connection[Any]):
        def wait(self, gen: PQGen[T], interval: float = _CHECK_S, timeout: float | None = None) -> T:
            try:
                return super().wait(gen, interval, response_timeout_s if timeout is None else timeout)
            except pg._WaitTimeout as error:
                self.pgconn.finish()
                raise psycopg.OperationalError(
                    f"no answer for {response_timeout_s:g} s, the connection is given up"
                ) from error

    @sa.event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, arguments: list[Any], options: dict[str, Any]) -> Connection:
        return Connection.connect(*arguments, **options)
